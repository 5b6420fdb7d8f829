import type { Command } from 'commander';
import { errorOptions, exitCodeOf, printError } from '../cli/exit.js';
import { processTerminal, type Terminal } from '../cli/terminal.js';

export type Env = Readonly<Record<string, string | undefined>>;

/** Does what the process's arguments say, by that program, and sets its exit code. */
export async function carryOut(
  argv: readonly string[],
  env: Env,
  programOf: (io: Terminal) => Command | Promise<Command>,
): Promise<void> {
  try {
    const program = await programOf(processTerminal());
    await program.parseAsync(argv);
  } catch (error) {
    printError(error, errorOptions(argv, env));
    process.exitCode = exitCodeOf(error);
  }
}
