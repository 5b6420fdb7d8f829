import { InvalidArgumentError, type Command } from 'commander';
import { voiceOf, type Context } from '../context.js';
import { configOption } from '../config-option.js';
import { leaf } from '../leaf.js';
import { serveUntilInterrupted } from '../serve.js';

interface WorkerOptions {
  readonly regions?: readonly string[];
  readonly http?: boolean;
  readonly config?: string;
}

export function addWorker(program: Command, context: Context): void {
  const command = leaf(
    program,
    'worker',
    'Serve some regions on schedule until Ctrl-C. A worker alone, beside others on a database of your own.',
    [
      'portcullis worker --regions eu-west-1,eu-central-1',
      'portcullis worker --regions us-east-1 --http --json',
    ],
  )
    .option('-r, --regions <regions>', 'the regions to serve, separated by commas; all if absent', regionList)
    .addOption(configOption())
    .option('--http', 'serve HTTP too (metrics, health, API)')
    .action(async ({ regions, http = false, config }: WorkerOptions) => {
      const options = {
        control: false,
        sample: false,
        runNow: false,
        http,
        config,
        ...(regions && { regions }),
      };
      await serveUntilInterrupted(context, voiceOf(context, command), options);
    });
}

function regionList(text: string): readonly string[] {
  const regions = [...new Set(text.split(',').map((region) => region.trim()))];
  if (regions.some((region) => region === '')) {
    throw new InvalidArgumentError('Regions are names separated by commas, such as eu-west-1,us-east-1.');
  }
  return regions;
}
