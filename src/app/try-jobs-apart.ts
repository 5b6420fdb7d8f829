import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TriedJobs } from '../cli/app-port.js';
import { PortcullisError, type ErrorCode } from '../kernel/errors.js';

type Said =
  | { readonly tried: TriedJobs }
  | { readonly error: { readonly message: string; readonly code?: ErrorCode; readonly hint?: string } };

/** Tries the jobs as `tryJobs` does, in a process of its own that loads their code again. */
export function tryJobsApart(file: string | undefined, signal: AbortSignal): Promise<TriedJobs> {
  const program = fileURLToPath(new URL('try-jobs-process.js', import.meta.url));
  return new Promise((resolve, reject) => {
    const child = fork(program, [file ?? ''], { signal, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    child.once('error', reject);
    child.once('message', (said: Said) => {
      if ('tried' in said) {
        resolve(said.tried);
        return;
      }
      const { message, code = 'INTERNAL', hint } = said.error;
      reject(new PortcullisError(code, message, { hint: hint ?? '' }));
    });
    child.once('exit', (code) =>
      reject(new Error(`the process that plans ended with exit code ${code ?? 'none'}`)),
    );
  });
}
