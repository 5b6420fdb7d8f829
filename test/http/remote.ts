import { createProgram } from '../../src/cli/program.js';
import { exitCodeOf, printError } from '../../src/cli/exit.js';
import { FakeApp } from '../unit/cli/fake-app.js';
import { FakeTerminal } from '../unit/cli/fake-terminal.js';

/** An app without any database. */
class RemoteApp extends FakeApp {
  constructor(settings: Partial<FakeApp['settings']>) {
    super();
    Object.assign(this.settings, { hasDatabase: false, ...settings });
    this.failure = { at: 'open', error: new Error('a remote command opened the database') };
  }
}

/** Runs a command line on a server. */
export async function runAt(
  settings: Partial<FakeApp['settings']>,
  args: readonly string[],
  typed: string[] = [],
  io = new FakeTerminal(),
): Promise<{ exit: number; out: string; err: string }> {
  io.typed = typed;
  let exit: number;
  try {
    const app = new RemoteApp(settings);
    await createProgram(app, io, app.commands).parseAsync(['node', 'portcullis', ...args]);
    exit = io.exitCode;
  } catch (error) {
    printError(error, { json: args.includes('--json') }, io.stderr);
    exit = exitCodeOf(error);
  }
  return { exit, out: io.stdout.text, err: io.stderr.text };
}
