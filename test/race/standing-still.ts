import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { FaultPoint } from '../../src/kernel/fault-point.js';
import { portcullis, untilWith, type Finished, type Running } from '../support/portcullis.js';
import type { SampleWorld } from './sample.js';

const ask = promisify(execFile);

/** Starts a process that stands still the nth time that it meets the point. Answers when it does. */
export async function stopped(
  { env }: SampleWorld,
  args: readonly string[],
  point: FaultPoint,
  nth: number,
): Promise<Running> {
  const running = portcullis(args, { env, stopAt: `${point}:${nth}` });
  await untilWith(running, `${args.join(' ')} stands still at ${point}`, () => isStopped(running));
  return running;
}

/** Has a process stand still where it is. Answers when it does. */
export async function halt(running: Running): Promise<void> {
  running.child.kill('SIGSTOP');
  await untilWith(running, 'the process stands still', () => isStopped(running));
}

/** By the state of a process that SIGSTOP has stopped, as Linux and every other Unix names it. */
async function isStopped({ child }: Running): Promise<boolean> {
  // A process that there is no more has no state, and `ps` fails.
  const { stdout } = await ask('ps', ['-o', 'stat=', '-p', String(child.pid)]).catch(() => ({ stdout: '' }));
  return stdout.startsWith('T');
}

/** Wakes a stopped process up, and answers how it ends. */
export async function wake({ child, finished }: Running): Promise<Finished> {
  child.kill('SIGCONT');
  return finished;
}
