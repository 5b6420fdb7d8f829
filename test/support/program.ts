import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Said {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, whatever that is; fails only where it can't be run. In the package's folder. */
export function runProgram(
  program: string,
  args: readonly string[],
  {
    cwd = ROOT,
    env = {},
    stdin = '',
  }: { cwd?: string; env?: Readonly<Record<string, string>>; stdin?: string } = {},
): Promise<Said> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { cwd, env: { ...process.env, ...env } },
      (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') reject(new Error(error.message));
        else resolve({ exit: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      },
    );
    // It may end without reading what it is told.
    child.stdin?.on('error', () => undefined).end(stdin);
  });
}
