import { Argument, type Command } from 'commander';
import type { Names } from '../app-port.js';
import { complete, completionLines, SCRIPTS, SHELLS, type Shell } from '../completion.js';
import { voiceOf, type Context } from '../context.js';
import { leaf } from '../leaf.js';

/** Who presses a key waits no longer than this for names. */
const NAMES_MS = 1_000;

export function addCompletion(program: Command, context: Context): void {
  const command = leaf(
    program,
    'completion',
    'Print what makes a shell complete commands, options, jobs, regions and versions.',
    [
      'source <(portcullis completion bash)',
      'portcullis completion zsh > "${fpath[1]}/_portcullis"',
      'portcullis completion fish > ~/.config/fish/completions/portcullis.fish',
    ],
  )
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action((shell: Shell) => {
      voiceOf(context, command).result({ shell, script: SCRIPTS[shell] }, () => SCRIPTS[shell]);
    });
  // What the scripts ask. Nothing that goes wrong is said while somebody types.
  command
    .command('candidates', { hidden: true })
    .argument('[words...]', 'the words of the command line up to the cursor')
    .action(async (words: readonly string[]) => {
      const names = (): Promise<Names> =>
        context.app.names(NAMES_MS).catch(() => ({ jobs: [], regions: [], versions: [] }));
      context.io.stdout.write(completionLines(await complete(program, words, names)));
    });
}
