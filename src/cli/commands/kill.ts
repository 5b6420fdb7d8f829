import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Principal } from '../../access/roles.js';
import { formatDurationMs, parseDurationMs } from '../../kernel/duration.js';
import { flagsAt, unchangedElsewhere } from '../../flags/flags-elsewhere.js';
import { requireComplete, unreachedText, type KillReach, type KillRequest } from '../../containment/kill.js';
import {
  killWithIncident,
  stopWithIncidents,
  type KillWithIncident,
} from '../../containment/kill-incident.js';
import type { Installation } from '../app-port.js';
import {
  killable,
  killingPrincipal,
  killUntilHeld,
  regionsToKill,
  versionMeant,
  type KillInTheEnd,
  type Killing,
} from '../killing.js';
import { PortcullisError, type ErrorCode } from '../../kernel/errors.js';
import type { Operations } from '../../operations/list.js';
import type { OutputOf } from '../../operations/operation.js';
import { invokeAt, type Invoke } from '../invoke-at.js';
import { interruptible } from '../interrupt.js';
import { withProgress } from '../progress.js';
import { voiceOf, withInstallation, type OpeningContext, type Voice } from '../context.js';
import { leaf } from '../leaf.js';
import { reasonOption } from '../reason-option.js';

interface KillOptions {
  readonly region?: string;
  readonly version?: string;
  readonly reason: string;
  readonly drill?: boolean;
  /** Milliseconds; true or absent: without end; false: not at all. */
  readonly wait?: number | boolean;
}

const MOST_WAIT_MS = 86_400_000;

export function addKill(program: Command, context: OpeningContext): void {
  const command = leaf(
    program,
    'kill <job>',
    'Stop a job at once, in one region or in all. Answers when no change of it can commit any more; it stays stopped until two people re-arm it.',
    [
      'portcullis kill domain-claim --region eu-west-1 --reason "claims nobody asked for"',
      'portcullis kill domain-claim --reason "everywhere, now"',
      'portcullis kill domain-claim --version 1.1.0_9f3c2a1b --reason "faulty build"',
    ],
  )
    .option('-r, --region <region>', 'only in this region')
    .option(
      '--version <version>',
      'only this version (the full version, its number, a unique prefix of its digest, or installed): it may act nowhere until the quarantine is lifted',
    )
    .requiredOption('--reason <reason>', 'why, for the record and for whoever re-arms it', reasonOption)
    .option('--drill', 'for practice: the gate is killed all the same; incident and notices say drill')
    .addOption(waitOption())
    .addOption(noWaitOption())
    .action(async (job: string, { region, version: meant, reason, drill = false, wait }: KillOptions) => {
      const voice = voiceOf(context, command);
      const order = { job, region, version: meant, reason, drill };
      const remote = await throughServer(context, voice, async (invoke) => {
        const report = await invoke('killJob', order);
        answer(voice, { drill, ...(meant !== undefined && { version: meant }) }, [atOnce(report)]);
      });
      if (remote === 'done') return;
      await withKilling(context, remote, async (installation, principal, reach, direct) => {
        const [regions, version] = await Promise.all([
          regionsToKill(installation, job, region),
          meant === undefined ? undefined : versionMeant(installation, job, meant),
        ]);
        const request = {
          job,
          regions,
          reason: direct(reason),
          drill,
          ...(version !== undefined && { version }),
        };
        const ownerOf = (at: string) => installation.regionDatabases.of(at).owner;
        const report = await killWithIncident(installation.control, ownerOf, request, principal, reach);
        const killings = [{ killing: { request, principal, reach }, report }];
        answer(voice, request, await seeThrough(context, voice, installation, killings, wait));
      });
    });
}

export function addStop(program: Command, context: OpeningContext): void {
  const command = leaf(program, 'stop', 'Stop everything: every job in every region, and restores too.', [
    'portcullis stop --all --reason "stop everything"',
  ])
    .requiredOption('--all', 'everything there is')
    .requiredOption('--reason <reason>', 'why, for the record and for whoever re-arms it', reasonOption)
    .option('--drill', 'for practice: everything is stopped all the same; incidents and notices say drill')
    .addOption(waitOption())
    .addOption(noWaitOption())
    .action(async ({ reason, drill = false, wait }: Pick<KillOptions, 'reason' | 'drill' | 'wait'>) => {
      const voice = voiceOf(context, command);
      const remote = await throughServer(context, voice, async (invoke) => {
        const { jobs } = await invoke('stopEverything', { reason, drill });
        const reports = jobs.map(atOnce);
        answer(voice, { drill }, reports);
      });
      if (remote === 'done') return;
      await withKilling(context, remote, async (installation, principal, reach, direct) => {
        const jobs = await killable(installation);
        const ownerOf = (at: string) => installation.regionDatabases.of(at).owner;
        const everywhere = { ...reach, jobs };
        const reports = await stopWithIncidents(
          installation.control,
          ownerOf,
          { reason: direct(reason), drill },
          principal,
          everywhere,
        );
        const killings = reports.map((report) => {
          const request = {
            job: report.job,
            regions: jobs.get(report.job) ?? [],
            reason: direct(reason),
            drill,
            restoresToo: true,
          };
          return { killing: { request, principal, reach }, report };
        });
        answer(voice, { drill }, await seeThrough(context, voice, installation, killings, wait));
      });
    });
}

function waitOption(): Option {
  return new Option(
    '--wait <duration>',
    'how long to keep trying where a region cannot be reached, such as 5m (default: until it is killed, or Ctrl-C)',
  ).argParser(waitMs);
}

function noWaitOption(): Option {
  return new Option('--no-wait', 'leave a region that cannot be reached to the processes that are running');
}

function waitMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== undefined && ms <= MOST_WAIT_MS) return ms;
  throw new InvalidArgumentError('A wait is a duration such as 30s or 5m, at most 24h.');
}

/** What a server answers: nothing of it was left to another process. JSON leaves out what is undefined. */
function atOnce(report: OutputOf<Operations['killJob']>): KillInTheEnd {
  return { ...(report as KillWithIncident), killedByOthers: [] };
}

/** How long a server may take to say that it is there, before a kill goes to the database itself. */
const THERE_MS = 2_000;

/** What a server that is not there, or that can stop nothing for us, comes to. */
const AWAY: ReadonlySet<ErrorCode> = new Set(['SERVER_UNREACHABLE', 'DATABASE_UNREACHABLE']);

/** Whether a server has carried a kill out; else whether there is none, or one that does not answer. */
type Remote = 'done' | 'none' | 'away';

/**
 * Kills through the server that the command works on. `away`: it does not answer, and the database is configured here:
 * then the kill goes there, on record as break-glass, as whoever's token that is.
 */
async function throughServer(
  context: OpeningContext,
  voice: Voice,
  kill: (invoke: Invoke) => Promise<void>,
): Promise<Remote> {
  const server = context.server?.();
  if (server === undefined) return 'none';
  try {
    await (
      await invokeAt(server, THERE_MS)
    )('getHealth', {});
    await kill(await invokeAt(server));
    return 'done';
  } catch (error) {
    if (!(error instanceof PortcullisError) || !AWAY.has(error.code)) throw error;
    if (!context.app.settings.hasDatabase) {
      throw new PortcullisError(
        error.code,
        `nothing was stopped: ${error.message.replace(/^nothing was stopped: /, '')}`,
        {
          hint: 'give it again where PORTCULLIS_DATABASE_URL is set: a kill works on the database with every process down',
          details: error.details,
          cause: error,
        },
      );
    }
    voice.note(`${error.message}; killing on the database itself (break-glass)`);
    return 'away';
  }
}

/**
 * A kill needs no control database and no schema but a gate's: what it can't put on record, it says. `direct` marks the
 * reason where neither the server nor the control database was there to ask: so the gate, its runs, the incident and,
 * once it can be written, the audit log show for ever that the kill went past them.
 */
async function withKilling(
  context: OpeningContext,
  remote: Remote,
  work: (
    installation: Installation,
    principal: Principal,
    reach: KillReach,
    direct: (reason: string) => string,
  ) => Promise<void>,
): Promise<void> {
  const reach = { flagsAt: flagsAt(context.app.settings.flagSource) };
  await withInstallation(
    context,
    async (installation) => {
      const { principal, asked } = await killingPrincipal(context, installation);
      const passes =
        remote === 'away' ? 'without the server' : asked ? undefined : 'without the control database';
      const direct = (reason: string): string =>
        passes === undefined ? reason : `break-glass, ${passes}: ${reason}`;
      await work(installation, principal, reach, direct);
    },
    'kill',
  );
}

interface Tried {
  readonly killing: Killing;
  readonly report: KillWithIncident;
}

/** Keeps trying what could not be reached, for as long as was asked for. */
async function seeThrough(
  { io }: OpeningContext,
  voice: Voice,
  installation: Installation,
  tried: readonly Tried[],
  wait: KillOptions['wait'],
): Promise<readonly KillInTheEnd[]> {
  const unreached = tried.flatMap(({ report }) => report.failed);
  if (unreached.length === 0 || wait === false) {
    return tried.map(({ report }) => ({ ...report, killedByOthers: [] }));
  }
  for (const { killing, report } of tried) {
    for (const failed of report.failed)
      voice.note(unreachedText(report.job, failed, killing.request.version));
  }
  voice.note('trying until it is killed; Ctrl-C leaves it to the processes that are running');
  return interruptible(io, async (interrupted) => {
    const limit = wait === undefined || wait === true ? [] : [AbortSignal.timeout(wait)];
    const signal = AbortSignal.any([interrupted, ...limit]);
    return withProgress(io.stderr, 'killing', (progress) =>
      Promise.all(
        tried.map(({ killing, report }) =>
          killUntilHeld(installation, killing, report, signal, (failed) => {
            const where = failed.map(({ region }) => region).join(', ');
            progress.say(`trying to reach ${where}`);
          }),
        ),
      ),
    );
  });
}

/** Answers what was reached, and then, where that is not everything, throws KILL_INCOMPLETE. */
function answer(voice: Voice, asked: Asked, reports: readonly KillInTheEnd[]): void {
  for (const report of reports) {
    voice.result(report, () => killText(voice, asked, report));
    if (report.unrecorded !== undefined)
      voice.note(
        `killed; not yet on record: ${report.unrecorded}. Every process that serves goes on trying: portcullis audit verify tells what waits`,
      );
  }
  requireComplete(reports, asked.version);
}

type Asked = Pick<KillRequest, 'version' | 'drill'>;

function killText(
  voice: Voice,
  { version, drill = false }: Asked,
  { job, killed, killedByOthers, failed, incident, flagsAt: at }: KillInTheEnd,
): string {
  const what = version === undefined ? job : `${job} ${version}`;
  if (killed.length + killedByOthers.length === 0 && failed.length > 0) return '';
  const table = voice.table(
    [
      { title: 'region' },
      { title: 'in force after' },
      { title: 'in flight', align: 'right' },
      { title: 'connections ended', align: 'right' },
      { title: 'runs ended' },
    ],
    [
      ...killed.map(({ region, tookMs, inFlight, terminated, runsEnded }) => [
        region,
        formatDurationMs(tookMs),
        String(inFlight),
        String(terminated),
        runsEnded.map((id) => id.slice(0, 8)).join(', ') || '–',
      ]),
      ...killedByOthers.map((region) => [region, 'by another process', '–', '–', '–']),
    ],
  );
  const back =
    version === undefined
      ? `portcullis rearm ${job} --region REGION --reason "…"`
      : `portcullis rearm ${job} --version ${version} --reason "…"`;
  const where = failed.length === 0 ? '' : ' in these regions';
  const damage = drill ? '' : `If its rows are wrong: portcullis incident include ${incident ?? ''} RUN\n`;
  const next = incident === null ? '' : `${damage}What to do now: portcullis incident runbook ${incident}\n`;
  const regions = [...killed.map(({ region }) => region), ...killedByOthers];
  const flags = at === undefined ? '' : `${unchangedElsewhere(at, job, regions)}\n`;
  const practised = drill ? 'Drill: ' : '';
  return `${practised}${what} is killed${where}: no change of it commits any more\n\n${table}\n${flags}${next}To re-arm it, with a second person: ${back}\n`;
}
