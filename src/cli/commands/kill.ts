import type { Command } from 'commander';
import { PortcullisError } from '../../base/errors.js';
import { formatDurationMs } from '../../base/duration.js';
import { killJob, type KillReport, type KillRequest } from '../../gate/kill-switch.js';
import { actingPrincipal } from '../acting.js';
import type { Installation } from '../app-port.js';
import { voiceOf, withInstallation, type Context, type Voice } from '../context.js';
import { leaf } from '../leaf.js';
import { requireRegion } from '../names.js';

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
        const regions = await regionsOf(installation, job, region);
        const request: KillRequest = { job, regions, reason, ...(version !== undefined && { version }) };
        await carryOut(context, voice, installation, request);
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
        for (const [job, regions] of await everything(installation)) {
          await carryOut(context, voice, installation, { job, regions, reason, restoresToo: true });
        }
      });
    });
}

async function carryOut(
  context: Context,
  voice: Voice,
  installation: Installation,
  request: KillRequest,
): Promise<void> {
  const principal = await actingPrincipal(context, installation);
  const report = await killJob(installation.control, () => installation.control, request, principal);
  voice.result({ job: request.job, ...report }, () => killText(voice, request, report));
  if (report.unrecorded !== undefined)
    voice.note(`the kill holds, but is not on the record: ${report.unrecorded}`);
  if (report.failed.length > 0) {
    const where = report.failed.map(({ region, reason }) => `${region}: ${reason}`).join('\n');
    throw new PortcullisError('KILL_INCOMPLETE', where, {
      mend: 'try again at once; if the database there cannot be reached, neither can its workers renew their permits, and they lapse',
    });
  }
}

/** Every region that has ever had a gate for the job, and every one of its policy: a kill asks nobody's leave. */
async function regionsOf(
  { control, jobs }: Installation,
  job: string,
  region: string | undefined,
): Promise<string[]> {
  const known = (await gatesOf(control)).get(job) ?? [];
  if (known.length === 0 && !jobs.some(({ definition }) => definition.name === job)) {
    throw new PortcullisError('JOB_UNKNOWN', `there is no job ${job}`, {
      mend: 'portcullis status shows those there are',
    });
  }
  if (region === undefined) return known;
  requireRegion(region, known);
  return [region];
}

async function everything({ control }: Installation): Promise<Map<string, string[]>> {
  return gatesOf(control);
}

async function gatesOf(control: Installation['control']): Promise<Map<string, string[]>> {
  const { rows } = await control.query<{ job: string; regions: string[] }>(
    `select job, array_agg(distinct region order by region) as regions
     from (select job, region from portcullis_region.gate union select job, region from portcullis_control.flag) g
     group by job order by job`,
  );
  return new Map(rows.map(({ job, regions }) => [job, regions]));
}

function killText(voice: Voice, request: KillRequest, { killed }: KillReport): string {
  const what = request.version === undefined ? request.job : `${request.job} ${request.version}`;
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
    request.version === undefined
      ? `portcullis rearm ${request.job} --region REGION --reason "…"`
      : `portcullis rearm ${request.job} --version ${request.version} --reason "…"`;
  return `${what} is killed: no change of it commits any more\n\n${table}\nto take it back, with a second person: ${back}\n`;
}
