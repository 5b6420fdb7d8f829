import { relative } from 'node:path';
import type { Command } from 'commander';
import { countOf } from '../../kernel/words.js';
import { configOption } from '../config-option.js';
import { voiceOf, type Context } from '../context.js';
import { leaf } from '../leaf.js';

export function addBuild(program: Command, context: Context): void {
  const command = leaf(
    program,
    'build',
    'Write the configuration file and its jobs as JavaScript, for an image.\n' +
      'What is built has the same version as the TypeScript: its digest is computed here, and stored beside the output.',
    ['portcullis build', 'portcullis build --out dist --json'],
  )
    .addOption(configOption())
    .option('-o, --out <folder>', 'where to: an empty folder, or that of an earlier build', 'dist')
    .action(async ({ config, out }: { config?: string; out: string }) => {
      const voice = voiceOf(context, command);
      const built = await context.app.authoring.build(config, out);
      voice.result(built, () =>
        [
          ...built.jobs.map(({ job, version }) => `built ${job} ${version}`),
          `${countOf(built.files, 'file')}; start it with --config ${relative(process.cwd(), built.file)}`,
        ]
          .map((line) => `${line}\n`)
          .join(''),
      );
    });
}
