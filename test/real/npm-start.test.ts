import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { temporaryFolder } from '../support/portcullis.js';
import { until } from '../support/until.js';

/** `npm start`, as the README has it, with npm between the terminal and Portcullis. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const STARTING_MS = 150_000;

const children: ChildProcess[] = [];
afterAll(() => {
  for (const { pid } of children) {
    try {
      if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    } catch {
      // Its whole group has ended.
    }
  }
});

interface Npm {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly finished: Promise<unknown>;
}

/** In a process group of its own, as a terminal starts it. */
function npm(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Npm {
  const child = spawn('npm', args, {
    cwd,
    detached: true,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let out = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (out += text));
  }
  return { child, out: () => out, finished: once(child, 'close') };
}

/** What runs of a process group that may be gone. */
function lives(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
}

describe('npm start', () => {
  const home = (async () => join(await temporaryFolder(), 'home'))();

  /** Starts, sends a signal once Portcullis serves, and sees that nothing of it is left. */
  async function startAndSignal(send: (npmPid: number) => void): Promise<string> {
    const folder = await home;
    const { child, out, finished } = npm(ROOT, ['start'], {
      PORTCULLIS_HOME: folder,
      PORTCULLIS_HTTP: '127.0.0.1:0',
      PORTCULLIS_LOG_LEVEL: 'silent',
    });
    await until(
      'it serves',
      () => {
        if (child.exitCode !== null) throw new Error(`it ended: ${out()}`);
        return out().includes('try, in another terminal');
      },
      STARTING_MS,
    );
    // PostgreSQL has this file for as long as it runs, and after a crash.
    const postmaster = join(folder, 'postgres/postmaster.pid');
    expect(existsSync(postmaster)).toBe(true);
    const { pid } = child;
    if (pid === undefined) throw new Error('npm did not start');
    send(pid);
    await finished;
    await until('everything that npm started has ended', () => !lives(pid));
    expect(existsSync(postmaster)).toBe(false);
    return out();
  }

  test(
    'ends all that it started when npm alone is told to, by SIGTERM',
    async () => {
      const out = await startAndSignal((pid) => process.kill(pid, 'SIGTERM'));
      expect(out).toMatch(/stopping: .*\n(.*\n)*stopped\n$/);
    },
    STARTING_MS,
  );

  test(
    'stops in good order on Ctrl-C, which reaches it twice: from the terminal, and from npm',
    async () => {
      const out = await startAndSignal((pid) => process.kill(-pid, 'SIGINT'));
      expect(out).toMatch(/stopping: .*\n(.*\n)*stopped\n$/);
    },
    STARTING_MS,
  );

  test('says what to run where nothing was built', async () => {
    const folder = await temporaryFolder();
    await copyFile(join(ROOT, 'package.json'), join(folder, 'package.json'));
    const { child, out, finished } = npm(folder, ['start']);
    await finished;
    expect(child.exitCode).toBe(1);
    expect(out()).toContain('run npm run build first');
    expect(out()).not.toContain('MODULE_NOT_FOUND');
  });
});

test('npm run build makes an executable program', async () => {
  expect((await stat(join(ROOT, 'dist/main.js'))).mode & 0o111).toBe(0o111);
});
