import type { Command } from 'commander';
import { NO_DRIFT, driftTexts, policyDrift, type PolicyDrift } from '../../flags/policy-drift.js';
import { kindsOfJobs } from '../../worker/registry.js';
import type { Installation } from '../app-port.js';
import { basicStatusText, readBasicStatus } from '../basic-status.js';
import { isOfOtherSchema, voiceOf, withLook, type Context } from '../context.js';
import { leaf } from '../leaf.js';
import { statusText } from '../status-text.js';
import type { FlagDesk } from '../../flags/flag-desk.js';
import { readStatus, type Status } from '../status.js';
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
      await withLook(context, async (installation) => {
        const desk = await context.app.flags(installation);
        try {
          const read = (): Promise<Shown> => readNow(context, installation, desk);
          const text = (status: Shown): string =>
            statusText(voice, status) +
            driftTexts(status.policyFiles)
              .map((line) => `\n${voice.paint(line, 'warning')}\n`)
              .join('');
          if (watching && context.io.stdout.isTTY) {
            await watch(context, voice, read, text);
            return;
          }
          const status = await read().catch(async (error: unknown) => {
            if (!isOfOtherSchema(installation, error)) throw error;
            return readBasicStatus(installation.databases);
          });
          voice.result(status, () => ('jobs' in status ? text(status) : basicStatusText(voice, status)));
        } finally {
          await desk.close();
        }
      });
    });
}

interface Shown extends Status {
  /** How the policy files here differ from what is in force; the shipped ones are compared with nothing. */
  readonly policyFiles: PolicyDrift;
}

async function readNow({ app }: Context, installation: Installation, desk: FlagDesk): Promise<Shown> {
  const { control, flagsFolder, jobs } = installation;
  return {
    ...(await readStatus(installation, await app.policies(installation), desk)),
    policyFiles: app.settings.flagsShipped
      ? NO_DRIFT
      : await policyDrift(control, flagsFolder, kindsOfJobs(jobs)),
  };
}
