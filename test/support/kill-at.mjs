/**
 * Preloaded into a real Portcullis process by the race tests: `node --import …/kill-at.mjs dist/main.js run …`
 * with KILL_AT=apply.fenced:3 ends the process with SIGKILL the third time that it meets the fault point.
 */
import { onFaultPoint } from '../../dist/base/fault-point.js';

const [point, nth = '1'] = (process.env['KILL_AT'] ?? '').split(':');
let met = 0;
onFaultPoint((at) => {
  if (at !== point) return;
  met += 1;
  if (met === Number(nth)) process.kill(process.pid, 'SIGKILL');
  // Nothing may happen between the signal's being sent and its being delivered.
  return met === Number(nth) ? new Promise(() => undefined) : undefined;
});
