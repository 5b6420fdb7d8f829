import { InvalidArgumentError, type Command } from 'commander';
import { voiceOf, type Context } from '../context.js';
import { leaf } from '../leaf.js';
import { serveUntilInterrupted } from '../serve.js';

export function addWorker(program: Command, context: Context): void {
  const command = leaf(
    program,
    'worker',
    'Serve some regions on schedule until Ctrl-C: a worker alone, for a database that others share.',
    [
      'portcullis worker --regions eu-west-1,eu-central-1',
      'portcullis worker --regions us-east-1 --http --json',
    ],
  )
    .requiredOption('-r, --regions <regions>', 'the regions to serve, separated by commas', regionList)
    .option('--http', 'serve HTTP too (metrics, health, API)', false)
    .action(async ({ regions, http }: { regions: readonly string[]; http: boolean }) => {
      const options = { sample: false, runNow: false, http, regions };
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
