import type { Command } from 'commander';
import { NO_DRIFT, driftTexts, policyDrift, type PolicyDrift } from '../../flags/policy-drift.js';
import type { Status } from '../../operations/status.js';
import { kindsOfJobs } from '../../worker/registry.js';
import type { Installation } from '../app-port.js';
import { basicStatusText, readBasicStatus } from '../basic-status.js';
import { isOfOtherSchema, voiceOf, withLook, type Context, type Voice } from '../context.js';
import { invokeAt, invokingHere, type Invoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import { statusText } from '../status-text.js';
import { watch, watchOption } from '../watch.js';

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
  // JSON leaves out what is undefined.
  const status = (await invoke('getStatus', {})) as Status;
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
