import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from '@jest/globals';
import { until } from './until.js';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const KILL_AT = fileURLToPath(new URL('./kill-at.mjs', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
}

export interface ProcessSetting {
  readonly env?: Readonly<Record<string, string>>;
  /** The program of another build (see build.ts); absent: this one's. */
  readonly main?: string;
  /** Its working folder; absent: the package's. */
  readonly cwd?: string;
  /** `apply.fenced:3`: die by SIGKILL the third time that this fault point is met. */
  readonly killAt?: string;
  /** `apply.written:3`: stand still by SIGSTOP the third time that this fault point is met. */
  readonly stopAt?: string;
}

const children = new Set<ChildProcess>();
const folders: string[] = [];

/** Starts the real program as a process of its own. Whatever still runs when the file's tests are over is killed. */
export function portcullis(args: readonly string[], setting: ProcessSetting = {}): Running {
  const { killAt, stopAt, main = MAIN, cwd } = setting;
  const preload = killAt === undefined && stopAt === undefined ? [] : ['--import', KILL_AT];
  const child = spawn(process.execPath, [...preload, main, ...args], {
    env: {
      PATH: process.env['PATH'],
      ...setting.env,
      ...(killAt && { KILL_AT: killAt }),
      ...(stopAt && { STOP_AT: stopAt }),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd !== undefined && { cwd }),
  });
  children.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const finished = once(child, 'close').then(([code, signal]) => {
    children.delete(child);
    return { code: code as number | null, signal: signal as NodeJS.Signals | null, stdout, stderr };
  });
  return { child, finished };
}

/** Waits for a condition as `until` does, and no longer than the process runs: throws what it said at its end. */
export async function untilWith<T>(
  { finished }: Running,
  what: string,
  condition: () => T | false | undefined | Promise<T | false | undefined>,
  limitMs?: number,
): Promise<T> {
  let over: Finished | undefined;
  void finished.then((end) => (over = end));
  return until(
    what,
    async () => {
      const answer = await condition();
      if ((answer === false || answer === undefined) && over) {
        throw new Error(`the process ended before this: ${what}\n${over.stdout}\n${over.stderr}`);
      }
      return answer;
    },
    limitMs,
  );
}

/** A folder of this file's own, with the files given; removed when its tests are over. */
export async function temporaryFolder(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-race-'));
  folders.push(folder);
  // As root, an embedded server runs as another user, who must be able to enter.
  await chmod(folder, 0o755);
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  // A server that is in one may write until it notices, and is stopped by a hook that runs after this one.
  for (const folder of folders)
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});
