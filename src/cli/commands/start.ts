import type { Command } from 'commander';
import { voiceOf, type Context } from '../context.js';
import { configOption } from '../config-option.js';
import { leaf } from '../leaf.js';
import { serveUntilInterrupted } from '../serve.js';

interface StartOptions {
  readonly sample?: boolean;
  readonly runNow?: boolean;
  readonly config?: string;
}

export function addStart(program: Command, context: Context): void {
  const command = leaf(
    program,
    'start',
    'Serve everything in one process until Ctrl-C. That is: control plane, worker and HTTP. A second Ctrl-C does not wait.\n' +
      'Runs jobs on schedule, and with --run-now once at once in each region whose flag is on.',
    ['portcullis start', 'portcullis start --sample --run-now', 'portcullis start --json'],
  )
    .option('--sample', 'where the jobs’ tables are empty, fill them with the samples of the jobs')
    .addOption(configOption())
    .option('--run-now', 'run every job once at once, then on schedule')
    .action(async ({ sample = false, runNow = false, config }: StartOptions) => {
      await serveUntilInterrupted(context, voiceOf(context, command), {
        control: true,
        sample,
        runNow,
        http: true,
        config,
      });
    });
}
