import type { App } from '../../../src/cli/app-port.js';
import type { AddCommand } from '../../../src/cli/context.js';
import { exitCodeOf, printError } from '../../../src/cli/exit.js';
import { createProgram } from '../../../src/cli/program.js';
import { FakeTerminal } from './fake-terminal.js';

/** Runs a command line as main.ts does, and answers its exit code and what it printed. */
export async function runProgram(
  app: App & { readonly commands?: readonly AddCommand[] },
  args: readonly string[],
  typed: readonly string[] = [],
  columns?: number,
): Promise<{ exit: number; out: string; err: string }> {
  const io = new FakeTerminal(columns === undefined ? {} : { columns });
  io.typed = [...typed];
  let exit: number;
  try {
    await createProgram(app, io, app.commands).parseAsync(['node', 'portcullis', ...args]);
    exit = io.exitCode;
  } catch (error) {
    printError(error, { json: args.includes('--json') }, io.stderr);
    exit = exitCodeOf(error);
  }
  return { exit, out: io.stdout.text, err: io.stderr.text };
}
