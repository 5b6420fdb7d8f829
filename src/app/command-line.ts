import type { Command } from 'commander';
import type { App } from '../cli/app-port.js';
import type { AddCommand } from '../cli/context.js';
import { errorOptions, exitCodeOf, printError } from '../cli/exit.js';
import { createFrame } from '../cli/frame.js';
import { processTerminal, type Terminal } from '../cli/terminal.js';
import { readConfig } from '../config.js';
import { createApp } from './app.js';

type Env = Readonly<Record<string, string | undefined>>;

/** Does what the process's arguments say, and sets its exit code. */
export async function commandLine(argv: readonly string[], env: Env): Promise<void> {
  try {
    const { app, commands } = createApp(() => readConfig(env));
    const program = await programFor(argv, app, processTerminal(), commands);
    await program.parseAsync(argv);
  } catch (error) {
    printError(error, errorOptions(argv, env));
    process.exitCode = exitCodeOf(error);
  }
}

/**
 * The program, with no more commands than the arguments ask for: whoever stops something does not wait for the code
 * of all the others.
 */
async function programFor(
  argv: readonly string[],
  app: App,
  io: Terminal,
  brought: () => Promise<readonly AddCommand[]>,
): Promise<Command> {
  const [first, ...more] = argv.slice(2);
  if (more.length === 0 && (first === '--version' || first === '-V')) return createFrame(app, io, []);
  const named = [first, ...more].find((word) => word?.startsWith('-') === false);
  if (named === 'kill' || named === 'stop') {
    const { addKill, addStop } = await import('../cli/commands/kill.js');
    return createFrame(app, io, [addKill, addStop]);
  }
  const { createProgram } = await import('../cli/program.js');
  return createProgram(app, io, await brought());
}
