import { expect, test } from '@jest/globals';
import { isSame, type PolicyDiff } from '../../../src/flags/policy-diff.js';
import { diffsSummary, diffsText } from '../../../src/cli/policy-text.js';
import { painter } from '../../../src/cli/tone.js';

const same: PolicyDiff = { job: 'sweep', file: 'sweep.yaml', change: 'same', fields: [], flags: [] };

test('a policy that is in force as written changes nothing', () => {
  expect(isSame(same)).toBe(true);
  expect(diffsText(painter(false), [same])).toBe('sweep  sweep.yaml: as it is in force\n');
});

test('a flag that is missing is a change, though no field is', () => {
  expect(isSame({ ...same, flags: [{ region: 'eu-west-1', change: 'create' }] })).toBe(false);
});

test('each field says what it was and will be, and a list what comes and goes', () => {
  const text = diffsText(painter(false), [
    {
      ...same,
      change: 'changed',
      fields: [
        { path: 'regions', before: ['eu-west-1', 'us-east-1'], after: ['eu-west-1', 'us-west-2'] },
        { path: 'apply.firstBatches', before: [10, 10], after: [10, 10, 10] },
        { path: 'apply.batch', before: 500, after: 200 },
        { path: 'guard.caps.claim.perUnit', after: 300 },
        { path: 'guard.caps.note.perRun', before: 10 },
      ],
      flags: [
        { region: 'us-west-2', change: 'create' },
        { region: 'us-east-1', change: 'close' },
      ],
    },
  ]);
  expect(text.split('\n')).toEqual([
    'sweep  sweep.yaml: 5 changes',
    '  ~ regions: + us-west-2, - us-east-1',
    '  ~ apply.firstBatches: [10, 10] → [10, 10, 10]',
    '  ~ apply.batch: 500 → 200',
    '  + guard.caps.claim.perUnit: 300',
    '  - guard.caps.note.perRun: 10',
    '  + flag sweep.us-west-2: new, switched off',
    '  - flag sweep.us-east-1: switched off, the region is no longer in the policy',
    '',
  ]);
});

test('in short: the settings that change by name, and every flag that closes', () => {
  const summary = (diff: Partial<PolicyDiff>): string => diffsSummary(painter(false), [{ ...same, ...diff }]);
  const fields = Array.from({ length: 9 }, (_, at) => ({ path: `guard.caps.kind-${at}.perRun`, after: at }));
  expect(summary({})).toBe('sweep  sweep.yaml: as it is in force\n');
  expect(
    summary({
      change: 'changed',
      fields,
      flags: [
        { region: 'us-west-2', change: 'create' },
        { region: 'ap-south-1', change: 'create' },
        { region: 'us-east-1', change: 'close' },
        { region: 'us-east-2', change: 'close' },
      ],
    }).split('\n'),
  ).toEqual([
    'sweep  sweep.yaml: 9 changes',
    `  ${fields
      .slice(0, 6)
      .map(({ path }) => path)
      .join(', ')} and 3 more (--full shows all)`,
    '  + 2 flags, switched off: us-west-2, ap-south-1',
    '  - flag sweep.us-east-1: switched off, the region is no longer in the policy',
    '  - flag sweep.us-east-2: switched off, the region is no longer in the policy',
    '',
  ]);
  expect(summary({ change: 'new', fields, flags: [{ region: 'us-west-2', change: 'create' }] })).toBe(
    'sweep  sweep.yaml: new, 9 settings (--full shows all)\n  + 1 flag, switched off: us-west-2\n',
  );
});
