import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startEmbedded } from '#dist/postgres/embedded-server.js';
import { secondsOf, type Bench } from './bench.js';
import { atEnd } from './endings.js';
import { temporaryFolder } from './server.js';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
const LIMIT_S = 5;
const POLL_MS = 10;
const GIVE_UP_MS = 60_000;

export const start: Bench = {
  name: 'start',
  ours: 'start --sample in an empty folder, to the first healthy answer',
  reference: 'the limit',
  unit: 's',
  ratio: 'growth',
  reach: 1,
  runs: 3,
  async measure({ runs, progress }) {
    const ours: number[] = [];
    for (let turn = 0; turn <= runs; turn += 1) {
      const seconds = await startOnce();
      progress(`${turn === 0 ? 'warm-up' : `run ${turn} of ${runs}`}: ${seconds.toFixed(3)}`);
      if (turn > 0) ours.push(seconds);
    }
    return { ours, reference: ours.map(() => LIMIT_S) };
  },
};

async function startOnce(): Promise<number> {
  const folder = temporaryFolder();
  const home = join(folder, '.portcullis');
  const port = await freePort();
  let child: ChildProcess | undefined;
  const stop = atEnd(() => (child ? stopped(child, home) : undefined));
  try {
    return await secondsOf(async () => {
      child = spawn(process.execPath, [MAIN, 'start', '--sample', '--run-now'], {
        cwd: folder,
        env: { ...process.env, PORTCULLIS_HOME: home, PORTCULLIS_HTTP: `127.0.0.1:${port}` },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      await healthy(child, `http://127.0.0.1:${port}/readyz`);
    });
  } finally {
    await stop();
  }
}

/** Asks until the answer is 200. Throws what the process said if it ends before that, or takes too long. */
export async function healthy(child: ChildProcess, url: string): Promise<void> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)));
  const giveUpAt = performance.now() + GIVE_UP_MS;
  for (;;) {
    const answer = await fetch(url).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.status === 200) return;
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`start ended before it was ready: ${said}`);
    }
    if (performance.now() > giveUpAt) throw new Error(`start was not ready in ${GIVE_UP_MS} ms: ${said}`);
    await setTimeout(POLL_MS);
  }
}

/** Ends the process as Ctrl-C does, and its database even where that did not. */
async function stopped(child: ChildProcess, home: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill('SIGINT');
    const late = globalThis.setTimeout(() => child.kill('SIGKILL'), 15_000);
    await exited;
    clearTimeout(late);
  }
  if (existsSync(join(home, 'postgres', 'postmaster.pid'))) {
    const left = await startEmbedded({ folder: home });
    await left.stop();
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
