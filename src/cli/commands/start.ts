import type { Command } from 'commander';
import { voiceOf, type Context } from '../context.js';
import { leaf } from '../leaf.js';
import { serveUntilInterrupted } from '../serve.js';

export function addStart(program: Command, context: Context): void {
  const command = leaf(
    program,
    'start',
    'Serve everything in one process until Ctrl-C. That is: control plane, worker and HTTP. A second Ctrl-C does not wait.\n' +
      'Runs every job at once in each region whose flag is on, then on schedule.',
    ['portcullis start --sample', 'portcullis start --no-run', 'portcullis start --json'],
  )
    .option('--sample', 'where the directory is empty, fill it with a sample world')
    .option('--no-run', 'wait for the schedule instead of running at once')
    .action(async ({ sample = false, run }: { sample?: boolean; run: boolean }) => {
      await serveUntilInterrupted(context, voiceOf(context, command), {
        control: true,
        sample,
        runNow: run,
        http: true,
      });
    });
}
