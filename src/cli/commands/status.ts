import type { Command } from 'commander';
import { NO_DRIFT, driftTexts, policyDrift, type PolicyDrift } from '../../flags/policy-drift.js';
import type { Status } from '../../operations/status.js';
import { kindsOfJobs } from '../../worker/registry.js';
import type { Installation } from '../app-port.js';
import { isOfOtherSchema, voiceOf, withLook, type Context, type Voice } from '../context.js';
import { invokeAt, invokingHere, type Invoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import { statusText } from '../status-text.js';
import { watch, watchOption } from '../watch.js';
import { messageOf } from '../../kernel/errors.js';
import { time } from '../../kernel/words.js';
import type { DatabaseSetup } from '../../postgres/logins.js';

export function addStatus(program: Command, context: Context): void {
  const command = leaf(program, 'status', 'Show every region: flag, versions, state and why, last run.', [
    'portcullis status',
    'portcullis status --watch',
    'portcullis status --json',
  ])
    .addOption(watchOption())
    .action(async ({ watch: watching = false }: { watch?: boolean }) => {
      const voice = voiceOf(context, command);
      const server = context.server?.();
      if (server !== undefined) {
        const invoke = await invokeAt(server);
        await show(context, voice, watching, () => readNow(invoke, () => Promise.resolve(NO_DRIFT)));
        return;
      }
      // Whoever looks runs no code of jobs.
      await withLook(
        context,
        (installation) =>
          invokingHere(context, installation, async (invoke) => {
            try {
              const drift = (): Promise<PolicyDrift> => driftOf(context, installation);
              await show(context, voice, watching, () => readNow(invoke, drift));
            } catch (error) {
              if (!isOfOtherSchema(installation, error)) throw error;
              const basic = await readBasicStatus(installation.databases);
              voice.result(basic, () => basicStatusText(voice, basic));
            }
          }),
        { jobs: false },
      );
    });
}

interface Shown extends Status {
  /** How the policy files here differ from what is in force; of a server, nobody here has the files. */
  readonly policyFiles: PolicyDrift;
}

async function readNow(invoke: Invoke, drift: () => Promise<PolicyDrift>): Promise<Shown> {
  const status = await invoke('getStatus', {});
  return { ...status, policyFiles: await drift() };
}

/** The shipped policy files are compared with nothing. */
async function driftOf(
  { app: { settings } }: Context,
  { control, flagsFolder, jobs }: Installation,
): Promise<PolicyDrift> {
  return settings.flagsShipped ? NO_DRIFT : policyDrift(control, flagsFolder, kindsOfJobs(jobs));
}

async function show(
  context: Context,
  voice: Voice,
  watching: boolean,
  read: () => Promise<Shown>,
): Promise<void> {
  const text = (status: Shown): string =>
    statusText(voice, status) +
    driftTexts(status.policyFiles)
      .map((line) => `\n${voice.paint(line, 'warning')}\n`)
      .join('');
  if (watching && context.io.stdout.isTTY) return watch(context, voice, read, text);
  const status = await read();
  voice.result(status, () => text(status));
}

/** A gate as far as every schema has it, whatever program migrated the database. */
interface BasicGate {
  readonly database: string;
  readonly job: string;
  readonly region: string;
  readonly state: string;
  readonly reason: string;
  readonly changedAt: Date;
}

interface BasicStatus {
  readonly gates: readonly BasicGate[];
  /** Databases that could not be read, and why. */
  readonly unread: readonly { readonly database: string; readonly reason: string }[];
}

/** Reads the gates of every database, by nothing but what the first schema had. */
async function readBasicStatus(databases: readonly DatabaseSetup[]): Promise<BasicStatus> {
  const gates: BasicGate[] = [];
  const unread: { database: string; reason: string }[] = [];
  for (const { name, owner } of databases) {
    try {
      const { rows } = await owner.query<Omit<BasicGate, 'database'>>(
        `select job, region, state, reason, changed_at as "changedAt" from portcullis_region.gate order by job, region`,
      );
      gates.push(...rows.map((row) => ({ database: name, ...row })));
    } catch (error) {
      unread.push({ database: name, reason: messageOf(error) });
    }
  }
  return { gates, unread };
}

function basicStatusText(voice: Voice, { gates, unread }: BasicStatus): string {
  const table = voice.table(
    [{ title: 'job' }, { title: 'region' }, { title: 'gate' }, { title: 'since' }, { title: 'why' }],
    gates.map(({ job, region, state, reason, changedAt }) => [job, region, state, time(changedAt), reason]),
  );
  const missing = unread.map(({ database, reason }) => `${database} cannot be read: ${reason}\n`).join('');
  return `${gates.length === 0 ? 'no gate\n' : table}${missing}`;
}
