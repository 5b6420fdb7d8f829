import { inspect, parseArgs } from 'node:util';
import { apply, applyComposite, applyTriggers } from './apply.js';
import { resultOf, type Bench, type BenchContext, type Result } from './bench.js';
import { cli, cliStatus, cliVersion } from './cli.js';
import { consoleBench, type ConsoleResult } from './console.js';
import { end } from './endings.js';
import { gate } from './gate.js';
import { guard, type GuardResult } from './guard.js';
import { impact, impactByProduct } from './impact.js';
import { kill, type KillResult } from './kill.js';
import { memory, memoryTriggers } from './memory.js';
import { million } from './million.js';
import { plan } from './plan.js';
import { renderConsole, renderGuard, renderKill, renderResults } from './report.js';
import { restore, restore200k, restoreComposite, restoreTriggers } from './restore.js';
import { run, runComposite, runTriggers } from './run.js';
import { scale } from './scale.js';
import { startServer } from './server.js';
import { start } from './start.js';
import { testKit } from './test-kit.js';

type AnyBench = Bench | typeof kill | typeof guard | typeof consoleBench;

const BENCHES: readonly AnyBench[] = [
  gate,
  plan,
  apply,
  applyTriggers,
  applyComposite,
  run,
  runTriggers,
  runComposite,
  million,
  memory,
  memoryTriggers,
  scale,
  restore,
  restore200k,
  restoreTriggers,
  restoreComposite,
  impact,
  impactByProduct,
  start,
  testKit,
  cli,
  cliVersion,
  cliStatus,
  consoleBench,
  kill,
  guard,
];

/** These answer in shapes of their own. */
function isKill(bench: AnyBench): bench is typeof kill {
  return bench === kill;
}

function isConsole(bench: AnyBench): bench is typeof consoleBench {
  return bench === consoleBench;
}

function isGuard(bench: AnyBench): bench is typeof guard {
  return bench === guard;
}

const USAGE = `usage: npm run bench -- [name …] [--runs N] [--changes N] [--json]
Measures each bench against its reference, in turn, on a PostgreSQL of its own.
  name     ${BENCHES.map(({ name }) => name).join(', ')}; all where none is named
  --runs   how often each side is measured; the warm-up is not counted
  --changes  so many changes in place of a bench's own number, to try apply, run, restore, million and memory
  --json   one object a bench, one a line
Exit code: 0 when every figure is within its reach, 1 when one is not, 2 for a wrong command line.
`;

interface Order {
  readonly benches: readonly AnyBench[];
  readonly runs: number | undefined;
  readonly changes: number | undefined;
  readonly json: boolean;
}

function readOrder(args: readonly string[]): Order | { readonly fault: string } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        runs: { type: 'string' },
        changes: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean' },
      },
    });
    if (values.help === true) return { fault: '' };
    const unknown = positionals.find((name) => !BENCHES.some((bench) => bench.name === name));
    if (unknown !== undefined) return { fault: `there is no bench ${unknown}` };
    if (values.runs !== undefined && !/^[1-9]\d{0,2}$/.test(values.runs)) {
      return { fault: '--runs is a number from 1 to 999' };
    }
    if (values.changes !== undefined && !/^[1-9]\d{3,6}$/.test(values.changes)) {
      return { fault: '--changes is a number from 1000 to 9999999' };
    }
    return {
      benches: BENCHES.filter(({ name }) => positionals.length === 0 || positionals.includes(name)),
      runs: values.runs === undefined ? undefined : Number(values.runs),
      changes: values.changes === undefined ? undefined : Number(values.changes),
      json: values.json,
    };
  } catch (error) {
    return { fault: (error as Error).message };
  }
}

async function measureAll({ benches, runs, changes, json }: Order): Promise<boolean> {
  const results: Result[] = [];
  const kills: KillResult[] = [];
  const guards: GuardResult[] = [];
  const consoles: ConsoleResult[] = [];
  const server = benches.every(isGuard) ? undefined : await startServer();
  for (const bench of benches) {
    const progress = (text: string): void => void process.stderr.write(`${bench.name}: ${text}\n`);
    let result: Result | KillResult | GuardResult | ConsoleResult;
    if (isGuard(bench)) guards.push((result = bench.measure(progress)));
    else {
      if (server === undefined) throw new Error(`${bench.name} needs the server`);
      const context: BenchContext = { server, runs: runs ?? bench.runs, changes, progress };
      if (isKill(bench)) kills.push((result = await bench.measure(context)));
      else if (isConsole(bench)) consoles.push((result = await bench.measure(context)));
      else results.push((result = resultOf(bench, await bench.measure(context))));
    }
    if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  }
  const measured = benches.flatMap((bench) =>
    isKill(bench) || isGuard(bench) || isConsole(bench) ? [] : [bench],
  );
  if (!json && results.length > 0) process.stdout.write(renderResults(measured, results));
  if (!json) for (const each of kills) process.stdout.write(renderKill(each));
  if (!json) for (const each of guards) process.stdout.write(renderGuard(each));
  if (!json) for (const each of consoles) process.stdout.write(renderConsole(each));
  return [...results, ...kills, ...guards, ...consoles].every(({ ok }) => ok);
}

/** Cleans up whatever is left, then ends the process: however it came to its end. */
function leave(code: number, error?: unknown): void {
  if (error !== undefined) process.stderr.write(`${inspect(error)}\n`);
  void end().then(() => process.exit(code));
}

const order = readOrder(process.argv.slice(2));
if ('fault' in order) {
  process.stderr.write(order.fault === '' ? USAGE : `${order.fault}\n${USAGE}`);
  process.exitCode = order.fault === '' ? 0 : 2;
} else {
  let interrupted = false;
  const fail = (error: unknown): void => {
    // Cleaning up takes the database from under the bench that runs: that it fails then is no news.
    if (!interrupted) leave(1, error);
  };
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      interrupted = true;
      leave(code);
    });
  }
  process.on('uncaughtException', fail);
  measureAll(order).then((ok) => leave(ok ? 0 : 1), fail);
}
