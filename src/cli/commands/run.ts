import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Command } from 'commander';
import { recordAudit } from '../../audit/record.js';
import { formatDurationMs } from '../../kernel/duration.js';
import { PortcullisError } from '../../kernel/errors.js';
import { flagName } from '../../flags/definition.js';
import { listChanges, type ChangeView } from '../../journal/browse-changes.js';
import { listGatesOf } from '../../regions/browse.js';
import { findRun, type RunView } from '../../runs/browse-runs.js';
import type { Installation } from '../app-port.js';
import { requireActing } from '../acting.js';
import { voiceOf, withInstallation, withPlatform, type Context, type Voice } from '../context.js';
import { exitCodeOfRun } from '../exit.js';
import { followRun, followText } from '../follow-run.js';
import { interruptible } from '../interrupt.js';
import { invokeAt, type Invoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import { knownJob, requireRegion } from '../names.js';
import { withProgress } from '../progress.js';
import { RunAccount } from '../run-progress.js';
import { runOnce, type RunOnce } from '../../worker/run-once.js';
import type { ExitCode } from '../terminal.js';
import { toneOf } from '../tone.js';
import { triggerFacts } from '../trigger-text.js';
import { number, time } from '../../kernel/words.js';
import { changedColumns, counts, total } from '../wording.js';
import { addShow } from './run-show.js';

/** How many changes of a dry run are shown. */
const SAMPLE = 10;

/** What `run --json` prints: exactly this. */
interface RunResult {
  readonly runId: string;
  readonly job: string;
  readonly version: string;
  readonly region: string;
  readonly slot: string;
  readonly status: string;
  readonly reason: string;
  readonly planned: Readonly<Record<string, number>>;
  readonly applied: Readonly<Record<string, number>>;
  readonly conflicts: number;
  readonly durationMs: number;
}

interface RunCommandOptions {
  readonly region?: string;
  readonly dryRun?: boolean;
}

export function addRun(program: Command, context: Context): void {
  const command = leaf(
    program,
    'run <job>',
    'Run a job once in a region, now, behind its flag: in this process, or through a server by a worker of the region.\n' +
      'Exits with 0 when it is done, 1 when it failed, 3 when it was held or stopped, 4 when a rule refused its plan.',
    [
      'portcullis run domain-claim --region eu-west-1 --dry-run',
      'portcullis run domain-claim --region eu-west-1 --json',
    ],
  )
    // Required, and yet not a required option to commander: `run show ID` would have to give it too.
    .option('-r, --region <region>', 'where to run it (required)')
    .option('--dry-run', 'plan and judge, and write nothing; shows what would be, also behind a closed gate')
    // So that `run show ID` keeps its options to itself.
    .enablePositionalOptions()
    .action(async (job: string, options: RunCommandOptions) => {
      const { region, dryRun = false } = options;
      if (region === undefined) {
        throw new PortcullisError('USAGE_INVALID', 'where to run it is missing', {
          hint: `name the region: portcullis run ${job} --region REGION`,
        });
      }
      const voice = voiceOf(context, command);
      const server = context.server?.();
      if (server !== undefined) {
        await runAt(context, voice, await invokeAt(server), job, { region, dryRun });
        return;
      }
      await withInstallation(context, (installation) =>
        run(context, installation, voice, job, { region, dryRun }),
      );
    });
  addShow(command, context);
}

async function run(
  context: Context,
  installation: Installation,
  voice: Voice,
  name: string,
  { region, dryRun }: { region: string; dryRun: boolean },
): Promise<void> {
  const { app, io } = context;
  const known = await knownJob(app, installation, name);
  requireRegion(region, known.policy.regions);
  const loaded = await installation.regionDatabases.of(region).job(name);
  const { name: principal } = await requireActing(context, installation, 'run', region);
  const id = randomUUID();
  // Before the run, which begins in another database: nothing runs by hand that is not on the record.
  await recordAudit(installation.control, {
    principal,
    action: 'run',
    subject: flagName(known.policy.job, region),
    evidence: { run: id, version: known.job.version, dryRun },
  });
  const once = await interruptible(io, (signal) =>
    withProgress(io.stderr, 'reading the flags', (progress) =>
      withPlatform(context, installation, (open) => {
        const account = new RunAccount();
        return runOnce(open.platformOf(region), { ...known, job: loaded }, region, dryRun, {
          id,
          signal,
          onElected: () => progress.say(account.text()),
          onProgress: (news) => {
            account.hear(news);
            progress.say(account.text());
          },
        });
      }),
    ),
  );
  const { result, exit } = await resultOf(installation, once);
  const sample = dryRun && !voice.json ? await sampleOf(installation, region, result.runId) : [];
  const triggers = dryRun
    ? (await findRun(installation.regionDatabases.of(region).worker, result.runId)).triggers
    : null;
  const shown = { ...result, ...(triggers && { triggers }) };
  voice.result(
    shown,
    () => runText(voice, result, triggers) + sampleText(voice, sample, total(result.planned)),
  );
  io.exitWith(exit);
}

/** The same by a worker of the server's region, followed to its end. */
async function runAt(
  { io }: Context,
  voice: Voice,
  invoke: Invoke,
  job: string,
  { region, dryRun }: { region: string; dryRun: boolean },
): Promise<void> {
  const { runId } = await invoke('startRun', { job, region, dryRun });
  const found = await interruptible(io, (signal) =>
    withProgress(io.stderr, 'starting the run', (progress) =>
      followRun(invoke, runId, signal, (text) => progress.say(text)),
    ),
  );
  const { version, slot, status, planned, applied, conflicts, createdAt, finishedAt } = found;
  const over = finishedAt !== null;
  const result = {
    ...{ runId, job, version, region, slot, status, planned, applied, conflicts },
    reason: over ? found.reason : `interrupted here; a worker goes on with it: ${followText(runId)}`,
    durationMs: found.durationMs ?? Math.max(0, Date.now() - Date.parse(createdAt)),
  };
  const sample =
    dryRun && !voice.json ? (await invoke('listRunChanges', { id: runId, limit: SAMPLE })).items : [];
  const triggers = dryRun ? found.triggers : null;
  const shown = { ...result, ...(triggers && { triggers }) };
  voice.result(shown, () => runText(voice, result, triggers) + sampleText(voice, sample, total(planned)));
  io.exitWith(over ? exitCodeOfRun(status) : 3);
}

async function resultOf(
  installation: Installation,
  { run, report, interrupted }: RunOnce,
): Promise<{ result: RunResult; exit: ExitCode }> {
  const { id: runId, job, version, region } = run;
  const named = { runId, job, version, region, slot: run.slot.toISOString() };
  if (report) {
    const { status, reason, planned, applied, conflicts } = report;
    const durationMs = Math.round(report.durationMs);
    return {
      result: { ...named, status, reason, planned, applied, conflicts, durationMs },
      exit: exitCodeOfRun(status),
    };
  }
  const found = await settledRun(installation, region, runId, interrupted);
  const { planned, applied, conflicts, durationMs } = found;
  const { status, reason } = await lostRun(installation, found, interrupted);
  return {
    result: {
      ...named,
      ...{ status, reason, planned, applied, conflicts },
      durationMs: durationMs ?? Math.max(0, Date.now() - run.createdAt.getTime()),
    },
    exit: found.finishedAt !== null ? exitCodeOfRun(found.status) : 3,
  };
}

/** A kill first stops a run and then ends it in the books: how long to wait for the second. */
const BOOKS_MS = 5_000;

/** The run as it is, once whoever took it from this process has ended it, or some seconds have passed. */
async function settledRun(
  { regionDatabases }: Installation,
  region: string,
  runId: string,
  interrupted: boolean,
): Promise<RunView> {
  const deadline = performance.now() + (interrupted ? 0 : BOOKS_MS);
  for (;;) {
    const found = await findRun(regionDatabases.of(region).worker, runId);
    if (found.finishedAt !== null || performance.now() >= deadline) return found;
    await setTimeout(100);
  }
}

/** What became of a run that did not end here. */
async function lostRun(
  { regionDatabases }: Installation,
  { job, region, runId, status, reason, finishedAt, worker }: RunView,
  interrupted: boolean,
): Promise<Pick<RunView, 'status' | 'reason'>> {
  if (finishedAt !== null) return { status, reason };
  const [gate] = (await listGatesOf(regionDatabases, { job, region }, { limit: 1 })).items;
  if (gate?.state === 'killed') {
    return { status: 'killed', reason: `killed by ${gate.killedBy ?? 'nobody known'}: ${gate.reason}` };
  }
  if (interrupted) return { status, reason: 'interrupted here; a worker goes on with it: portcullis start' };
  const follow = `portcullis run show ${runId.slice(0, 8)} follows it`;
  return { status, reason: `${worker} took the run over; ${follow}` };
}

function runText(voice: Voice, result: RunResult, triggers: RunView['triggers']): string {
  return voice.facts([
    ['run', result.runId],
    ['job', `${result.job} ${result.version} in ${result.region}`],
    ['slot', time(result.slot)],
    ['status', { text: result.status, tone: toneOf(result.status) }],
    ['reason', result.reason],
    ['planned', counts(result.planned)],
    ['applied', counts(result.applied)],
    ['conflicts', result.conflicts],
    ['took', formatDurationMs(result.durationMs)],
    ...(triggers === null ? [] : triggerFacts(triggers.fire, triggers.trial)),
  ]);
}

async function sampleOf(
  { regionDatabases }: Installation,
  region: string,
  runId: string,
): Promise<readonly ChangeView[]> {
  return (await listChanges(regionDatabases.of(region).worker, runId, {}, { limit: SAMPLE })).items;
}

function sampleText(voice: Voice, sample: readonly ChangeView[], planned: number): string {
  if (sample.length === 0) return '';
  const heading =
    planned > sample.length ? `the first ${sample.length} of ${number(planned)} changes` : 'the changes';
  const rows = sample.map((change) => [
    change.kind,
    change.key,
    change.unit,
    changedColumns(change.before, change.after).join(', '),
  ]);
  const columns = [{ title: 'kind' }, { title: 'key' }, { title: 'unit' }, { title: 'what would change' }];
  return `\n${heading}\n\n${voice.table(columns, rows)}`;
}
