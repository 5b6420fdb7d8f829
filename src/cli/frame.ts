import { readFileSync } from 'node:fs';
import { type Argument, Command } from 'commander';
import type { Action } from '../access/roles.js';
import type { App } from './app-port.js';
import type { AddCommand } from './context.js';
import type { Server } from './credentials.js';
import { EXIT_MEANINGS } from './exit.js';
import { withCommonOptions } from './leaf.js';
import { pathOf, rightOf } from './permissions.js';
import { serverFor } from './remote.js';
import type { Terminal } from './terminal.js';

/**
 * The command line with these commands. `parseAsync` rejects with whatever went wrong, commander's own usage errors
 * included: `exitCodeOf` and `printError` of exit.ts know what to make of it. Results go to standard output, notes,
 * progress and errors to standard error.
 */
export function createFrame<Of extends Pick<App, 'settings'>>(
  app: Of,
  io: Terminal,
  commands: readonly AddCommand<Of>[],
): Command {
  const program = withCommonOptions(new Command('portcullis'), true)
    .description(
      'A scheduled job changes production data only behind a per-region flag, fenced and journaled.',
    )
    .version(version(), '-V, --version', 'show the version')
    // `flags set` has a --version of its own: options before a command are the program's, later ones are not.
    .enablePositionalOptions()
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({
      helpWidth: Math.min(100, io.stdout.columns),
      // Without `[options]`, which every command has: it takes the room that the descriptions wrap in.
      subcommandTerm: (command) =>
        [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' '),
    })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // printError says it, in one place and in one form.
      outputError: () => undefined,
      getOutHelpWidth: () => Math.min(100, io.stdout.columns),
      getErrHelpWidth: () => Math.min(100, io.stderr.columns),
      getOutHasColors: () => io.colour,
      getErrHasColors: () => false,
    })
    .addHelpText('after', HELP_END);
  let right: Action | undefined;
  let server: Server | undefined;
  program.hook('preAction', async (_, command) => {
    right = rightOf(command);
    server = await serverFor(pathOf(command), app.settings);
  });
  for (const add of commands) add(program, { app, io, right: () => right, server: () => server });
  return program;
}

function argumentTerm(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

const HELP_END = `
Exit codes: ${Object.entries(EXIT_MEANINGS)
  .map(([code, meaning]) => `${code} ${meaning}`)
  .join(', ')}.
Every command takes --json and --help.

Examples:
  $ portcullis start --sample
  $ portcullis status --watch
  $ portcullis run domain-claim --region eu-west-1 --dry-run
`;

/** The package's version. Both from `src/cli/` and from `dist/cli/` its description stands at the same place. */
function version(): string {
  const { version: text } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  return text;
}
