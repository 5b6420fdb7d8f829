import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { readPolicies } from '#dist/flags/policy.js';
import { applyPolicies } from '#dist/flags/policy-store.js';
import { inTurns, secondsOf, type Bench } from './bench.js';
import { temporaryFolder, type BenchServer } from './server.js';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
const FLAGS = fileURLToPath(new URL('../../flags/', import.meta.url));

/** How much longer than Node.js itself what stops a job may take, from typed to answered. */
const REACH = 4;

/** A command line, typed and answered, against a process of Node.js that does nothing. */
const typed = (name: string, args: readonly string[], reach: number): Bench => ({
  name,
  ours: `portcullis ${args.join(' ')}`,
  reference: 'node -e 0',
  unit: 's',
  ratio: 'growth',
  reach,
  runs: 20,
  async measure(context) {
    const { env, drop } = await installation(context.server, name.replaceAll('-', '_'));
    try {
      return await inTurns(
        context,
        () => secondsOf(() => ended([MAIN, ...args], env)),
        () => secondsOf(() => ended(['-e', '0'], env)),
      );
    } finally {
      await drop();
    }
  },
});

/** Each kill after the first kills what is killed: it takes the same way, and joins the incident. */
export const cli: Bench = typed('cli', ['kill', 'domain-claim', '--reason', 'the bench'], REACH);
export const cliVersion: Bench = typed('cli-version', ['--version'], REACH);
export const cliStatus: Bench = typed('cli-status', ['status'], 6);

interface Installed {
  readonly env: NodeJS.ProcessEnv;
  readonly drop: () => Promise<void>;
}

/** A database with the shipped policy in force, which any command finds by its environment. */
async function installation(server: BenchServer, name: string): Promise<Installed> {
  const template = await server.template(name, async (owner) => {
    await applyPolicies(owner, await readPolicies(FLAGS), 'bench');
  });
  const database = await server.copyOf(template);
  const env = {
    PATH: process.env['PATH'],
    PORTCULLIS_DATABASE_URL: database.ownerUrl,
    PORTCULLIS_HOME: temporaryFolder(),
  };
  return { env, drop: () => database.drop() };
}

/** Waits until a process of Node.js has ended. Throws what it said where it failed. */
async function ended(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code ?? 'a signal'}: ${said}`);
}
