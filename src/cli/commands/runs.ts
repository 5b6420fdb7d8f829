import { Option, type Command } from 'commander';
import { formatDurationMs } from '../../kernel/duration.js';
import { PortcullisError } from '../../kernel/errors.js';
import type { UnreachableDatabase } from '../../regions/query-regions.js';
import { countHeldOf, listRunsOf } from '../../regions/browse.js';
import { MOST_HELD, type RunFilter, type RunView } from '../../runs/browse-runs.js';
import { RUN_STATES, type RunStatus } from '../../runs/run-states.js';
import type { Installation } from '../app-port.js';
import { voiceOf, withLook, type Context, type Voice } from '../context.js';
import { instant } from '../instant.js';
import { leaf } from '../leaf.js';
import { regionsIn, requireRegion, unknownName } from '../names.js';
import { invokeAt, type Invoke } from '../invoke.js';
import { noteUnreachable } from '../unreachable.js';
import { toneOf } from '../tone.js';
import { listUpTo } from '../../client/client.js';
import { jobOption, limitOption } from '../listing.js';
import { countOf, time } from '../../kernel/words.js';
import { total } from '../wording.js';
import { addShow } from './run-show.js';
import { showMissed } from './runs-missed.js';

interface RunsOptions {
  readonly job?: string;
  readonly region?: string;
  readonly status?: RunStatus;
  readonly held?: boolean;
  readonly missed?: boolean;
  readonly since?: Date;
  readonly limit: number;
}

export function addRuns(program: Command, context: Context): void {
  const command = leaf(program, 'runs', 'List runs, newest first. Held runs are counted, not listed.', [
    'portcullis runs --region eu-west-1 --held',
    'portcullis runs --limit 1 --json',
    'portcullis runs --missed --since 2026-03-01',
  ])
    .addOption(jobOption())
    .option('-r, --region <region>', 'only in this region')
    .addOption(new Option('-s, --status <status>', 'only with this status').choices(Object.keys(RUN_STATES)))
    .option('--held', 'held runs too: those that found their gate closed, or that a rule could not vouch for')
    .addOption(
      new Option('--missed', 'instead, the scheduled times at which nothing ran, and why').conflicts([
        'held',
        'status',
      ]),
    )
    .option('--since <time>', 'with --missed: only after this moment (default: the last 24 hours)', instant)
    .addOption(limitOption('runs'))
    .enablePositionalOptions()
    .action(async (options: RunsOptions) => {
      const voice = voiceOf(context, command);
      const { job, region, status, held = false } = options;
      if (options.missed === true) {
        await showMissed(context, voice, options);
        return;
      }
      if (options.since !== undefined) {
        throw new PortcullisError('USAGE_INVALID', '--since goes with --missed', {
          hint: 'runs are listed newest first: give --limit',
        });
      }
      const notHeld = status === undefined && !held;
      const server = context.server?.();
      if (server !== undefined) {
        const found = await runsAt(await invokeAt(server), { job, region, status }, options.limit, notHeld);
        voice.result(found, () => runsText(voice, found.runs) + hiddenText(found.hidden));
        noteUnreachable(voice, found.unreachable);
        return;
      }
      await withLook(context, async (installation) => {
        const filter: RunFilter = { job, region, status, notHeld };
        let unreachable: readonly UnreachableDatabase[] = [];
        const { items: runs } = await listUpTo(options.limit, async (page) => {
          const found = await listRunsOf(installation.regionDatabases, filter, page);
          unreachable = found.unreachable;
          return found;
        });
        // Of those that the list could have shown: since the oldest run in it, where there may be older ones.
        const since = runs.length < options.limit ? undefined : runs.at(-1)?.createdAt;
        const hidden = notHeld ? await countHeldOf(installation.regionDatabases, filter, since) : 0;
        if (runs.length === 0 && hidden === 0 && unreachable.length === 0)
          await refuseUnknownNames(context, installation, options);
        voice.result({ runs, hidden, unreachable }, () => runsText(voice, runs) + hiddenText(hidden));
        noteUnreachable(voice, unreachable);
      });
    });
  addShow(command, context);
}

/** The same from a server. */
async function runsAt(
  invoke: Invoke,
  filter: Omit<RunFilter, 'notHeld'>,
  limit: number,
  notHeld: boolean,
): Promise<{ runs: RunView[]; hidden: number; unreachable: UnreachableDatabase[] }> {
  const hideHeld = notHeld ? 'true' : 'false';
  let hidden = 0;
  let unreachable: UnreachableDatabase[] = [];
  const { items: runs } = await listUpTo<RunView>(limit, async (request) => {
    const page = await invoke('listRuns', { ...filter, hideHeld, ...request });
    // Of all pages up to here.
    hidden = page.hidden;
    unreachable = page.unreachable.map((database) => ({ database, reason: 'the server cannot reach it' }));
    return page;
  });
  return { runs, hidden, unreachable };
}

/** An empty list may be the answer, or a slip of the pen: names that are nowhere are the latter. */
async function refuseUnknownNames(
  { app }: Context,
  installation: Installation,
  { job, region }: RunsOptions,
): Promise<void> {
  const policies = await app.policies(installation);
  const jobs = new Set([
    ...installation.jobs.map(({ definition }) => definition.name),
    ...policies.map((policy) => policy.job),
  ]);
  if (job !== undefined && !jobs.has(job)) throw unknownName('JOB_UNKNOWN', 'job', job, [...jobs]);
  if (region !== undefined) requireRegion(region, regionsIn(policies));
}

const COLUMNS = [
  { title: 'run' },
  { title: 'slot', below: 6 },
  { title: 'job', below: 3 },
  { title: 'version', below: 2 },
  { title: 'region' },
  { title: 'status' },
  { title: 'planned', below: 5 },
  { title: 'applied' },
  { title: 'conflicts', below: 4 },
  { title: 'took', minor: true as const },
  { title: 'reason' },
];

function hiddenText(hidden: number): string {
  if (hidden === 0) return '';
  const count = `${hidden >= MOST_HELD ? 'at least ' : ''}${countOf(hidden, 'held run')}`;
  return `${count} not shown; --held shows ${hidden === 1 ? 'it' : 'them'}\n`;
}

export function runsText(voice: Voice, runs: readonly RunView[]): string {
  if (runs.length === 0) return 'No runs\n';
  return voice.table(
    COLUMNS,
    runs.map((run) => [
      run.runId.slice(0, 8),
      time(run.slot),
      run.job,
      run.version,
      run.region,
      { text: run.status, tone: toneOf(run.status) },
      total(run.planned),
      total(run.applied),
      run.conflicts,
      run.durationMs === null ? '–' : formatDurationMs(run.durationMs),
      run.reason,
    ]),
  );
}
