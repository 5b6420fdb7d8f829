/**
 * Preloaded into a real Portcullis process by the race tests: `node --import …/kill-at.mjs dist/main.js run …`
 * with KILL_AT=apply.fenced:3 ends the process with SIGKILL the third time that it meets the fault point; with
 * STOP_AT=apply.fenced:3 it stands still there by SIGSTOP, and goes on from there when it is told to (SIGCONT).
 */
import { setTimeout } from 'node:timers/promises';

/** Of the package that is tested, where that is not this build: FAULT_POINTS names its module. */
const { onFaultPoint } = await import(process.env['FAULT_POINTS'] ?? '../../dist/kernel/fault-point.js');

const [signal, at = ''] = process.env['KILL_AT']
  ? ['SIGKILL', process.env['KILL_AT']]
  : ['SIGSTOP', process.env['STOP_AT']];
const [point, nth = '1'] = at.split(':');
/** How long a signal to oneself may take to be delivered. Nothing may happen in that time. */
const DELIVERY_MS = 50;
let met = 0;
onFaultPoint((here) => {
  if (here !== point) return undefined;
  met += 1;
  if (met !== Number(nth)) return undefined;
  process.kill(process.pid, signal);
  return signal === 'SIGKILL' ? new Promise(() => undefined) : setTimeout(DELIVERY_MS);
});
