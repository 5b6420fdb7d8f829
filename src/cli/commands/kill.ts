import type { Command } from 'commander';
import { formatDurationMs } from '../../base/duration.js';
import { regionsOf } from '../../gate/gates-of.js';
import { requireComplete } from '../../gate/kill-switch.js';
import { killWithIncident, stopWithIncidents, type KillWithIncident } from '../../incidents/kill-incident.js';
import { actingPrincipal } from '../acting.js';
import { voiceOf, withInstallation, type Context, type Voice } from '../context.js';
import { leaf } from '../leaf.js';

interface KillOptions {
  readonly region?: string;
  readonly version?: string;
  readonly reason: string;
}

export function addKill(program: Command, context: Context): void {
  const command = leaf(
    program,
    'kill <job>',
    'Stop a job at once, in one region or in all. Answers when no change of it can commit any more; it stays stopped until two people re-arm it.',
    [
      'portcullis kill domain-claim --region eu-west-1 --reason "claims nobody asked for"',
      'portcullis kill domain-claim --reason "everywhere, now"',
      'portcullis kill domain-claim --version 1.1.0+9f3c2a1b --reason "faulty build"',
    ],
  )
    .option('-r, --region <region>', 'only in this region')
    .option('-v, --version <version>', 'only this version: it may act nowhere until the quarantine is lifted')
    .requiredOption('--reason <reason>', 'why, for the record and for whoever re-arms it')
    .action(async (job: string, { region, version, reason }: KillOptions) => {
      const voice = voiceOf(context, command);
      await withInstallation(context, async (installation) => {
        const { control, jobs, planes } = installation;
        const installed = jobs.map(({ definition }) => definition.name);
        const regions = await regionsOf(control, installed, job, region);
        const principal = await actingPrincipal(context, installation);
        const request = { job, regions, reason, ...(version !== undefined && { version }) };
        answer(voice, version, [
          await killWithIncident(control, (at) => planes.of(at).owner, request, principal),
        ]);
      });
    });
}

export function addStop(program: Command, context: Context): void {
  const command = leaf(program, 'stop', 'Stop everything: every job in every region, and restores too.', [
    'portcullis stop --all --reason "stop everything"',
  ])
    .requiredOption('--all', 'everything there is')
    .requiredOption('--reason <reason>', 'why, for the record and for whoever re-arms it')
    .action(async ({ reason }: { reason: string }) => {
      const voice = voiceOf(context, command);
      await withInstallation(context, async (installation) => {
        const { control, planes } = installation;
        const principal = await actingPrincipal(context, installation);
        answer(
          voice,
          undefined,
          await stopWithIncidents(control, (at) => planes.of(at).owner, reason, principal),
        );
      });
    });
}

/** Answers what was reached, and then, where that is not everything, throws KILL_INCOMPLETE. */
function answer(voice: Voice, version: string | undefined, reports: readonly KillWithIncident[]): void {
  for (const report of reports) {
    voice.result(report, () => killText(voice, version, report));
    if (report.unrecorded !== undefined)
      voice.note(`the kill holds, but is not on the record: ${report.unrecorded}`);
  }
  requireComplete(reports);
}

function killText(
  voice: Voice,
  version: string | undefined,
  { job, killed, failed, incident }: KillWithIncident,
): string {
  const what = version === undefined ? job : `${job} ${version}`;
  const table = voice.table(
    [
      { title: 'region' },
      { title: 'in force after' },
      { title: 'in flight', align: 'right' },
      { title: 'connections ended', align: 'right' },
      { title: 'runs ended' },
    ],
    killed.map(({ region, tookMs, inFlight, terminated, runsEnded }) => [
      region,
      formatDurationMs(tookMs),
      String(inFlight),
      String(terminated),
      runsEnded.map((id) => id.slice(0, 8)).join(', ') || '–',
    ]),
  );
  const back =
    version === undefined
      ? `portcullis rearm ${job} --region REGION --reason "…"`
      : `portcullis rearm ${job} --version ${version} --reason "…"`;
  const where = failed.length === 0 ? '' : ' in these regions';
  const next = incident === null ? '' : `what to do now: portcullis incident runbook ${incident}\n`;
  return `${what} is killed${where}: no change of it commits any more\n\n${table}\n${next}to take it back, with a second person: ${back}\n`;
}
