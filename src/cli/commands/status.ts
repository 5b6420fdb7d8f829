import type { Command } from 'commander';
import { NO_DRIFT, driftTexts, policyDrift, type PolicyDrift } from '../../flags/policy-drift.js';
import { kindsOfJobs } from '../../jobs/registry.js';
import type { Installation } from '../app-port.js';
import { voiceOf, withInstallation, type Context } from '../context.js';
import { leaf } from '../leaf.js';
import { statusText } from '../status-text.js';
import { readStatus, type JobStatus } from '../status.js';
import { watch } from '../watch.js';

export function addStatus(program: Command, context: Context): void {
  const command = leaf(
    program,
    'status',
    'Show every gate: its flag, its permit, its versions, its last run and the next slot.',
    ['portcullis status', 'portcullis status --watch', 'portcullis status --json'],
  )
    .option('-w, --watch', 'every second anew, until q or Ctrl-C; with --json one object a second')
    .action(async ({ watch: watching = false }: { watch?: boolean }) => {
      const voice = voiceOf(context, command);
      await withInstallation(context, async (installation) => {
        const read = () => readStatuses(context, installation);
        const text = ({ jobs, policyFiles }: Status): string =>
          statusText(voice, jobs) +
          driftTexts(policyFiles)
            .map((line) => `\n${voice.paint(line, 'warning')}\n`)
            .join('');
        if (watching) return watch(context, voice, read, text);
        const status = await read();
        voice.result(status, () => text(status));
      });
    });
}

interface Status {
  readonly jobs: readonly JobStatus[];
  /** How the policy files here differ from what is in force; the shipped ones are compared with nothing. */
  readonly policyFiles: PolicyDrift;
}

async function readStatuses({ app }: Context, installation: Installation): Promise<Status> {
  const { control, flagsFolder, jobs } = installation;
  return {
    jobs: await readStatus(installation, await app.policies(installation)),
    policyFiles: app.settings.flagsShipped
      ? NO_DRIFT
      : await policyDrift(control, flagsFolder, kindsOfJobs(jobs)),
  };
}
