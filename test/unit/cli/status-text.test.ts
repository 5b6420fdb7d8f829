import { expect, test } from '@jest/globals';
import { Voice } from '../../../src/cli/context.js';
import type { RegionStatus } from '../../../src/cli/status.js';
import { statusText } from '../../../src/cli/status-text.js';
import { FakeTerminal } from './fake-terminal.js';

const AT = '2026-11-23T09:00:00.000Z';
const VERSION = '1.1.0+00000001';

/** A gate that was killed, and its version quarantined, by the same and for the same reason. */
function killed(by: string, reason: string): RegionStatus {
  return {
    region: 'eu-west-1',
    flag: null,
    gate: {
      ...{ job: 'claims', region: 'eu-west-1', state: 'killed', permits: false, permitUntil: null, epoch: 2 },
      ...{ permitRemainingMs: 0, flagRevision: 7, variants: [], reasonCode: 'killed', reason, changedAt: AT },
      ...{ killedBy: by, killedAt: AT, stopped: false },
      quarantined: [{ version: VERSION, reason, by, at: AT }],
    },
    lastRun: null,
    unreachable: null,
    killWish: null,
  };
}

test.each([
  [
    'guard:cap:claim',
    'cap:claim: 1,204 planned; claims: too many',
    'guard:cap:claim: 1,204 planned; claims: too many',
  ],
  ['guard:claims', 'claims-per-run: too many', 'guard:claims: claims-per-run: too many'],
  ['ann', 'ann: as she says', 'ann: ann: as she says'],
])('a kill by %s for “%s” names its rule once', (by, reason, shown) => {
  const job = { job: 'claims', version: VERSION, schedule: null, nextSlot: null };
  const text = statusText(new Voice(new FakeTerminal(), false), [{ ...job, regions: [killed(by, reason)] }]);
  expect(text).toContain(`killed by ${shown}\n`);
  expect(text).toContain(
    `${VERSION} is quarantined by ${by} since 2026-11-23T09:00:00Z: ${shown.slice(by.length + 2)}\n`,
  );
});

test('what others wrote cannot reach the terminal of whoever asks', () => {
  const terminal = new FakeTerminal({ isTTY: true, colour: true });
  const voice = new Voice(terminal, false);
  const job = { job: 'claims', version: VERSION, schedule: null, nextSlot: null };
  const regions = [killed('ann', 'calm\u001b[2J\u001b]0;title\u0007')];
  voice.result({}, () => statusText(voice, [{ ...job, regions }]));
  expect(terminal.stdout.text).toContain('calm\\x1b[2J\\x1b]0;title\\x07\n');
  expect(terminal.stdout.text).toContain('\u001b[31m1.1.0+00000001 is quarantined\u001b[0m');
  voice.note('calm\u001b[2J');
  expect(terminal.stderr.text).toBe('calm\\x1b[2J\n');
});
