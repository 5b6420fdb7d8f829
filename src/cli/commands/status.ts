import type { Command } from 'commander';
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
        const read = () => readJobs(context, installation);
        const text = ({ jobs }: { jobs: readonly JobStatus[] }): string => statusText(voice, jobs);
        if (watching) return watch(context, voice, read, text);
        const status = await read();
        voice.result(status, () => text(status));
      });
    });
}

async function readJobs({ app }: Context, installation: Installation): Promise<{ jobs: JobStatus[] }> {
  return { jobs: await readStatus(installation, await app.policies(installation)) };
}
