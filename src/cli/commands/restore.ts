import { hostname } from 'node:os';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { recordAudit } from '../../audit/record.js';
import { recordPersonalRead } from '../../access/personal-data.js';
import { PortcullisError } from '../../kernel/errors.js';
import { formatDurationMs } from '../../kernel/duration.js';
import { tendIncident } from '../../incidents/assess-incident.js';
import { nothingToRestore } from '../../incidents/incident-runs.js';
import { moveIncident } from '../../incidents/move-incident.js';
import { readRestored } from '../../worker/restore-plan-phase.js';
import { RESTORE_PACE, type RestorePace, type RestoreSite } from '../../worker/restore-run.js';
import { previewRestores, restoreRuns, type RestoreReport } from '../../worker/restore-runs.js';
import { createReservations } from '../../worker/reservations.js';
import { partOf, partText, type RestorePart } from '../../journal/restore-plan.js';
import { restoreConflicts, type RestoreConflict } from '../../journal/restore-preview.js';
import type { FoundRun } from '../../regions/browse.js';
import type { RegionDatabase } from '../../regions/region-database.js';
import { createLogger } from '../../telemetry/log.js';
import { actingPrincipal, requireActing } from '../acting.js';
import type { Installation } from '../app-port.js';
import { voiceOf, withInstallation, type Context, type Voice } from '../context.js';
import { csvLine } from '../csv.js';
import { exitCodeOfRun } from '../exit.js';
import { interruptible } from '../interrupt.js';
import { invokeAt, type Invoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import { reasonOption } from '../reason-option.js';
import { withProgress } from '../progress.js';
import { runsNamed, type RunsNamed } from '../runs-named.js';
import { RestoreAccount } from '../restore-progress.js';
import {
  DRY_RUN,
  namedThere,
  previewThere,
  queriedPart,
  restoreThere,
  type NamedThere,
  type RestoreResult,
} from '../restore-remote.js';
import type { ExitCode } from '../terminal.js';
import { toneOf } from '../tone.js';
import { triggerFacts } from '../trigger-text.js';
import { countOf, number } from '../../kernel/words.js';
import { imageText, total } from '../wording.js';

interface RestoreOptions {
  readonly dryRun?: boolean;
  readonly conflicts?: 'report' | 'csv';
  readonly reason?: string;
  readonly resource?: readonly string[];
  readonly unit?: readonly string[];
  readonly key?: readonly string[];
}

const several = (value: string, before: readonly string[] | undefined): string[] => [
  ...(before ?? []),
  value,
];

function rowKey(value: string, before: readonly string[] | undefined): string[] {
  if (!/^[^:]+:./s.test(value)) throw new InvalidArgumentError('Give resource:key, such as account:a-17.');
  return several(value, before);
}

export function addRestore(program: Command, context: Context): void {
  const command = leaf(
    program,
    'restore <run-or-incident...>',
    'Put the rows that a run, or all runs of an incident, changed back to what they were; of several runs, the newest first.\n' +
      'With --resource, --unit or --key only a part of them; the rest can be restored later.\n' +
      'Rows that somebody else has changed since are skipped and counted as conflicts. To resume an interrupted restore, run the same command again.\n' +
      'Exits with 0 when rows were restored, 1 when it failed or no row was left to restore, 3 when it was stopped or interrupted.',
    [
      'portcullis restore 3f2a9c1e --dry-run',
      'portcullis restore 3f2a9c1e',
      'portcullis restore k3v7qa2m',
      'portcullis restore 3f2a9c1e --unit org-7 --dry-run',
      'portcullis restore 3f2a9c1e --resource account --key account:a-17',
      'portcullis restore 3f2a9c1e 77b0d4e2 --conflicts csv > conflicts.csv',
    ],
  )
    .option('--reason <text>', 'why, for the record', reasonOption)
    .option('--dry-run', 'say what would be restored and what is in the way, and write nothing')
    .option('--resource <name>', 'restore only changes of this resource; may be repeated', several)
    .option('--unit <unit>', 'restore only changes for this unit; may be repeated', several)
    .option('--key <resource:key>', 'restore only this row; may be repeated', rowKey)
    .addOption(
      new Option(
        '--conflicts <form>',
        'list the skipped rows with before, after and now; csv: nothing else on standard output',
      ).choices(['report', 'csv']),
    )
    .action(async (ids: readonly string[], options: RestoreOptions) => {
      const voice = voiceOf(context, command);
      const part = partOf({ resources: options.resource, units: options.unit, keys: options.key });
      const server = context.server?.();
      if (server !== undefined) {
        await restoreAt(context, voice, await invokeAt(server), ids, options, part);
        return;
      }
      // A restore is by the journal: it runs no code of jobs.
      await withInstallation(
        context,
        async (installation) => {
          const named = await runsNamed(installation, ids);
          const { runs } = named;
          for (const { region, reason } of named.silent)
            voice.note(`without the runs of ${region}: ${reason}`);
          const results =
            options.dryRun === true
              ? await preview(context, runs, part)
              : await restoreNamed(context, installation, named, options.reason, part);
          const quiet = options.conflicts === 'csv';
          if (!quiet) answer(voice, results, options.dryRun === true);
          if (options.conflicts !== undefined) {
            const principal = await actingPrincipal(context, installation);
            for (const { run } of runs) {
              await recordPersonalRead(installation.control, principal, `run ${run.runId}`, {
                conflicts: true,
              });
            }
            await printConflicts(context, voice, results, quiet, (run) => conflictsIn(runs, run, part));
          }
          if (options.dryRun !== true) requireRestored(results, named, part);
        },
        'change',
        { jobs: false },
      );
    });
}

/** The same by a server's workers. */
async function restoreAt(
  { io }: Context,
  voice: Voice,
  invoke: Invoke,
  ids: readonly string[],
  { dryRun = false, conflicts, reason }: RestoreOptions,
  part: RestorePart | undefined,
): Promise<void> {
  const named = await namedThere(invoke, ids);
  for (const { region, reason } of named.silent) voice.note(`without the runs of ${region}: ${reason}`);
  const { results, exit } = dryRun
    ? { results: await previewThere(invoke, named, part), exit: 0 as const }
    : await interruptible(io, (signal) =>
        withProgress(io.stderr, 'restoring', (progress) =>
          restoreThere(invoke, named, { reason, part, signal, say: (text) => progress.say(text) }),
        ),
      );
  io.exitWith(exit);
  const quiet = conflicts === 'csv';
  if (!quiet) answer(voice, results, dryRun);
  if (conflicts !== undefined) {
    await printConflicts({ io }, voice, results, quiet, (id) =>
      invoke('exportConflicts', { id, ...queriedPart(part) }),
    );
  }
  if (!dryRun) requireRestored(results, named, part);
}

async function preview(
  { io }: Context,
  runs: readonly FoundRun[],
  part: RestorePart | undefined,
): Promise<RestoreResult[]> {
  const previews = await withProgress(io.stderr, 'comparing with the tables', async () => {
    const found = [];
    for (const [regionDatabase, ids] of byDatabase(runs))
      found.push(...(await previewRestores(regionDatabase.worker, ids, { part, trial: true })));
    return found;
  });
  return previews.map(({ of, preview: { triggers, trial, ...left } }) => ({
    ...{ run: of.id, job: of.job, region: of.region, ...DRY_RUN, left, triggers, trial },
  }));
}

/** Restores, and has the incidents that were named follow: restoring, and then as far as it came. */
async function restoreNamed(
  context: Context,
  installation: Installation,
  { runs, incidents }: RunsNamed,
  reason: string | undefined,
  part: RestorePart | undefined,
): Promise<RestoreResult[]> {
  const { control, regionDatabases } = installation;
  const { name: by } = await actingPrincipal(context, installation);
  const unfinished = incidents.filter(({ state }) => state !== 'closed');
  if (runs.length > 0) {
    for (const { run } of runs) await requireActing(context, installation, 'restore', run.region);
    for (const { id } of unfinished) {
      await moveIncident(control, id, 'restoring', { by, reason: reason ?? 'a restore was asked for' });
    }
  }
  try {
    return await restore(context, installation, runs, reason, part);
  } finally {
    for (const { id } of unfinished) {
      await tendIncident(control, (region) => regionDatabases.of(region).worker, id, by);
    }
  }
}

async function restore(
  context: Context,
  installation: Installation,
  runs: readonly FoundRun[],
  reason: string | undefined,
  part: RestorePart | undefined,
): Promise<RestoreResult[]> {
  const { app, io } = context;
  const { control } = installation;
  const paces = new Map<string, RestorePace>();
  for (const { job, leaseMs, apply } of await app.policies(installation)) {
    paces.set(job, { leaseMs, batch: apply.batch });
  }
  let principal = '';
  for (const { run } of runs)
    principal = (await requireActing(context, installation, 'restore', run.region)).name;
  // Before the restore, which begins in another database: nothing is restored that is not on the record.
  for (const { run } of runs) {
    const { runId, job, version, region } = run;
    await recordAudit(control, {
      principal,
      action: 'restore',
      subject: runId,
      evidence: { job, version, region, ...(part && { part }), ...(reason !== undefined && { reason }) },
    });
  }
  const places = byDatabase(runs);
  const account = new RestoreAccount([...places.values()].flat().length);
  const reports = await interruptible(io, (signal) =>
    withProgress(io.stderr, 'restoring', async (progress) => {
      const say = (): void => progress.say(account.text());
      const hear = (news: () => void): void => {
        news();
        say();
      };
      const restored = [];
      for (const [regionDatabase, ids] of places) {
        const done = await restoreRuns(siteOf(installation, regionDatabase), ids, {
          signal,
          part,
          paceOf: (job) => paces.get(job) ?? RESTORE_PACE,
          onRun: () => hear(() => account.next()),
          onWait: () => hear(() => account.wait()),
          onProgress: (news) => hear(() => account.hear(news)),
        });
        restored.push(...done);
        if (done.some(({ report }) => report?.status !== 'succeeded')) break;
      }
      return restored;
    }),
  );
  const results = reports.map(resultOf);
  for (const { run, restore: id, status, restored, left } of results) {
    const evidence = { restore: id, status, restored, left };
    await recordAudit(control, { principal, action: 'restore-ended', subject: run, evidence });
  }
  io.exitWith(reports.map(exitOf).find((code) => code !== 0) ?? 0);
  return results;
}

/** The runs' ids, each once, by the database that they lie in: rows of different databases are not each other's. */
function byDatabase(runs: readonly FoundRun[]): Map<RegionDatabase, string[]> {
  const ids = new Map<RegionDatabase, string[]>();
  for (const { regionDatabase, run } of runs)
    ids.set(regionDatabase, [...new Set([...(ids.get(regionDatabase) ?? []), run.runId])]);
  return ids;
}

/** Neither flags nor look-ups nor a job's code: a restore works with everything else down. */
function siteOf({ control }: Installation, { name, worker: region }: RegionDatabase): RestoreSite {
  return {
    worker: `restore:${hostname()}:${process.pid}`,
    region,
    // A value that is unique across regions is taken again where the control database says that it may be.
    reservations: createReservations(control, name),
    log: createLogger({ level: 'silent' }),
  };
}

function resultOf({ of, report, left }: RestoreReport): RestoreResult {
  const named = { run: of.id, job: of.job, region: of.region, left };
  if (!report) {
    const reason = 'interrupted; the same command, or a worker, resumes it';
    return { ...named, restore: null, status: 'applying', reason, restored: 0, durationMs: null };
  }
  const { run, status, reason, applied, durationMs } = report;
  return {
    ...named,
    ...{ restore: run.id, status, reason, restored: total(applied), durationMs: Math.round(durationMs) },
  };
}

function exitOf({ report }: RestoreReport): ExitCode {
  return report ? exitCodeOfRun(report.status) : 3;
}

function answer(voice: Voice, results: readonly RestoreResult[], dryRun: boolean): void {
  voice.result({ dryRun, runs: results }, () =>
    results.length > 0
      ? results.map((each) => resultText(voice, each, dryRun)).join('\n')
      : dryRun
        ? 'No run of it has changed anything: there is nothing to restore\n'
        : '',
  );
}

/** Throws NOTHING_REACHED where every restore ended well, and no row was there to be restored. */
function requireRestored(
  results: readonly RestoreResult[],
  {
    incidents,
    silent,
  }: Pick<NamedThere, 'silent'> & { readonly incidents: readonly { readonly id: string }[] },
  part: RestorePart | undefined,
): void {
  if (results.some(({ status, restored }) => status !== 'succeeded' || restored > 0)) return;
  if (results.length === 0) throw nothingToRestore(incidents.map(({ id }) => id).join(' '), silent);
  throw new PortcullisError(
    'NOTHING_REACHED',
    results
      .map((each) => `no row of run ${each.run.slice(0, 8)} was restored: ${whyNone(each, part)}`)
      .join('\n'),
    {
      hint: results.some(({ left }) => left.conflicts > 0)
        ? 'decide on the rows that were changed since: --conflicts report lists them'
        : 'nothing to do',
      details: { runs: results.map(({ run }) => run) },
    },
  );
}

function whyNone({ left }: RestoreResult, part: RestorePart | undefined): string {
  if (left.applied === 0)
    return part === undefined ? 'it changed nothing' : `it changed nothing of ${partText(part)}`;
  const { alreadyRestored, asBefore, conflicts } = left;
  return [
    ...(alreadyRestored > 0 ? [`${number(alreadyRestored)} were restored before`] : []),
    ...(asBefore > 0 ? [`${number(asBefore)} are as before, by others`] : []),
    ...(conflicts > 0 ? [`${number(conflicts)} were changed since, and skipped`] : []),
  ].join(', ');
}

function resultText(voice: Voice, result: RestoreResult, dryRun: boolean): string {
  const { left } = result;
  const took = result.durationMs === null ? [] : [['took', formatDurationMs(result.durationMs)] as const];
  return voice.facts([
    ['run', `${result.run} of ${result.job} in ${result.region}`],
    ...(result.restore === null ? [] : [['restore', result.restore] as const]),
    ['status', { text: dryRun ? 'dry run' : result.status, tone: toneOf(result.status) }],
    ['reason', result.reason],
    [
      'changed',
      `${countOf(left.applied, 'row')} by the run, ${number(left.alreadyRestored)} of them restored`,
    ],
    [dryRun ? 'would restore' : 'restored', dryRun ? left.restorable : result.restored],
    ...(dryRun || left.restorable === 0 ? [] : [['not restored', left.restorable] as const]),
    ['as before', `${number(left.asBefore)}, by others`],
    [
      'conflicts',
      left.conflicts === 0
        ? 0
        : { text: `${number(left.conflicts)}: changed since, and skipped`, tone: 'warning' },
    ],
    ...took,
    ...triggerFacts(result.triggers ?? [], result.trial ?? null),
  ]);
}

const CSV_COLUMNS = ['run', 'resource', 'key', 'kind', 'unit', 'before', 'after', 'now', 'refusal'];

/** The rows of a run here that were left alone. */
async function conflictsIn(
  runs: readonly FoundRun[],
  id: string,
  part: RestorePart | undefined,
): Promise<AsyncIterable<RestoreConflict>> {
  const pool = runs.find(({ run }) => run.runId === id)?.regionDatabase.worker;
  if (pool === undefined) throw new Error(`run ${id} was not looked up`);
  return restoreConflicts(pool, id, await readRestored(pool, id), part);
}

/** Streams every row left alone: memory stays flat however many there are. */
async function printConflicts(
  { io: { stdout } }: Pick<Context, 'io'>,
  voice: Voice,
  results: readonly RestoreResult[],
  csv: boolean,
  conflictsOf: (run: string) => Promise<AsyncIterable<RestoreConflict>>,
): Promise<void> {
  if (csv) stdout.write(csvLine(CSV_COLUMNS));
  for (const { run } of results) {
    for await (const conflict of await conflictsOf(run)) {
      const { resource, key, kind, unit, before, after, now, refusal } = conflict;
      if (csv) {
        const images = [before, after, now].map((image) => (image === null ? null : JSON.stringify(image)));
        stdout.write(csvLine([run, resource, key, kind, unit, ...images, refusal]));
      } else {
        voice.result(
          { conflict: { run, ...conflict } },
          () =>
            `\n${voice.facts([
              [kind, `${resource} ${key} for ${unit}`],
              ['before', imageText(before)],
              ['after', imageText(after)],
              ['now', imageText(now)],
              ...(refusal === null ? [] : [['refusal', refusal] as const]),
            ])}`,
        );
      }
      await stdout.drained();
      if (stdout.closed) return;
    }
  }
}
