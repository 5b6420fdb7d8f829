import { beforeEach, describe, expect, test } from '@jest/globals';
import { type FlagChange, listFlags, readFlag, setFlag } from '../../src/flags/flag-store.js';
import {
  applyFirstPolicies,
  applyPolicies,
  diffPolicies,
  loadPolicies,
  loadPolicy,
  requirePolicy,
} from '../../src/flags/policy-store.js';
import { type PolicyFile, parsePolicyFile } from '../../src/flags/policy.js';
import { admitVersions } from '../support/admissions.js';
import { testDatabase } from '../support/database.js';

const { owner: control } = await testDatabase();

const policy = (regions: string, more = ''): PolicyFile =>
  parsePolicyFile(
    `job: domain-claim\nschedule: '0 * * * *'\nregions: [${regions}]\n${more}`,
    'flags/domain-claim.yaml',
  );

const change = (more: Partial<FlagChange>): FlagChange => ({
  job: 'domain-claim',
  region: 'eu-west-1',
  reason: 'a test',
  changedBy: 'tester',
  ...more,
});

for (const region of ['eu-west-1', 'us-east-1']) {
  const versions = ['1.0.0', '1.0.0_aaaaaaaa', '1.1.0_bbbbbbbb'];
  await admitVersions(control, { job: 'domain-claim', region }, versions);
}

beforeEach(async () => {
  await control.query(
    'truncate portcullis_control.policy, portcullis_control.flag, portcullis_control.flag_change',
  );
});

async function applied(regions = 'eu-west-1, us-east-1'): Promise<void> {
  await applyPolicies(control, [policy(regions)], 'tester');
}

const states = async (): Promise<[string, boolean, string][]> =>
  (await listFlags(control)).map(({ region, enabled, reason }) => [region, enabled, reason]);

/** Why the flag became what it was at each of its revisions, newest first. */
async function reasonsGiven(region: string): Promise<string[]> {
  const { rows } = await control.query<{ reason: string }>(
    `select reason from portcullis_control.flag_change where job = 'domain-claim' and region = $1 order by revision desc`,
    [region],
  );
  return rows.map(({ reason }) => reason);
}

describe('applying policies', () => {
  test('creates missing flags switched off, with a reason', async () => {
    await applied();
    expect(await states()).toEqual([
      ['eu-west-1', false, 'new in the policy: a flag begins switched off'],
      ['us-east-1', false, 'new in the policy: a flag begins switched off'],
    ]);
    expect(await loadPolicy(control, 'domain-claim')).toMatchObject({
      ok: true,
      appliedBy: 'tester',
      policy: { regions: ['eu-west-1', 'us-east-1'], permitMs: 30_000 },
    });
  });

  test('never changes the state of a flag that is there', async () => {
    await applied();
    await setFlag(control, change({ enabled: true, variants: [{ version: '1.0.0', permille: 250 }] }));
    const before = await readFlag(control, 'domain-claim', 'eu-west-1');
    expect(before).toMatchObject({ enabled: true, variants: [{ permille: 250 }] });
    await applyPolicies(
      control,
      [policy('eu-west-1, us-east-1, ap-southeast-2', 'permit: 20s\n')],
      'another',
    );
    expect(await readFlag(control, 'domain-claim', 'eu-west-1')).toEqual(before);
  });

  test('the same again writes nothing at all', async () => {
    await applied();
    const before = [await listFlags(control), await loadPolicies(control)];
    const [diff] = await applyPolicies(control, [policy('eu-west-1, us-east-1')], 'another');
    expect(diff).toMatchObject({ change: 'same', flags: [] });
    expect([await listFlags(control), await loadPolicies(control)]).toEqual(before);
  });

  test('switches a vanished region off and keeps it; coming back does not switch it on', async () => {
    await applied();
    await setFlag(control, change({ enabled: true, variants: [{ version: '1.0.0', permille: 1000 }] }));
    await applied('us-east-1');
    expect(await readFlag(control, 'domain-claim', 'eu-west-1')).toMatchObject({
      enabled: false,
      variants: [{ version: '1.0.0', permille: 1000 }],
      reason: 'the region is no longer in the policy',
    });
    await applied();
    expect(await readFlag(control, 'domain-claim', 'eu-west-1')).toMatchObject({ enabled: false });
  });

  test('the diff says beforehand what the apply then does, and changes nothing', async () => {
    await applied();
    await setFlag(control, change({ enabled: true }));
    const next = [policy('us-east-1, ap-southeast-2', 'lease: 10s\n')];
    const before = await states();
    const diff = await diffPolicies(control, next);
    expect(await states()).toEqual(before);
    expect(diff[0]?.flags).toEqual([
      { region: 'ap-southeast-2', change: 'create' },
      { region: 'eu-west-1', change: 'close' },
    ]);
    expect(await applyPolicies(control, next, 'tester')).toEqual(diff);
    expect((await diffPolicies(control, next))[0]).toMatchObject({ change: 'same', flags: [] });
  });

  test('eight at once create each flag once, with one line of history each', async () => {
    await Promise.all(Array.from({ length: 8 }, () => applied()));
    expect(await reasonsGiven('eu-west-1')).toHaveLength(1);
    expect(await reasonsGiven('us-east-1')).toHaveLength(1);
  });
});

describe('the policies of a database’s first start', () => {
  test('are put in force where none is', async () => {
    const diffs = await applyFirstPolicies(control, [policy('eu-west-1')], 'system:start');
    expect(diffs).toMatchObject([{ job: 'domain-claim', change: 'new' }]);
    expect(await states()).toHaveLength(1);
  });

  test('change nothing where any policy is in force, whatever it is for', async () => {
    await applied('eu-west-1');
    const other = parsePolicyFile(`job: other\nschedule: '0 * * * *'\nregions: [r1]\n`, 'flags/other.yaml');
    const files = [policy('eu-west-1, us-east-1'), other];
    expect(await applyFirstPolicies(control, files, 'system:start')).toBeUndefined();
    expect(await states()).toHaveLength(1);
    expect(await loadPolicy(control, 'other')).toMatchObject({ ok: false, code: 'policy-missing' });
  });

  test('are put in force once by eight starts at once', async () => {
    const starts = Array.from({ length: 8 }, () =>
      applyFirstPolicies(control, [policy('r1')], 'system:start'),
    );
    expect((await Promise.all(starts)).filter((diffs) => diffs !== undefined)).toHaveLength(1);
  });
});

describe('loading policies', () => {
  test('a policy that is missing is an answer, and for a person an error with the nearest name', async () => {
    await applied();
    expect(await loadPolicy(control, 'domain-clam')).toMatchObject({ ok: false, code: 'policy-missing' });
    await expect(requirePolicy(control, 'domain-clam')).rejects.toMatchObject({
      code: 'POLICY_MISSING',
      hint: 'did you mean domain-claim?',
    });
  });

  test.each([
    ['an unknown key', `policy || '{"permitt": "30s"}'`, /permitt/],
    ['a duration without unit', `policy || '{"permit": 30}'`, /permit is not a duration/],
    ['a list', `'[]'`, /must be a map of keys/],
    ['null', `'null'`, /must be a map of keys/],
    ['the policy of another job', `policy || '{"job": "other"}'`, /it is for other/],
  ])('%s in the database is malformed, with the reason, and no crash', async (_, sql, reason) => {
    await applied();
    await control.query(`update portcullis_control.policy set policy = ${sql}`);
    const loaded = await loadPolicy(control, 'domain-claim');
    expect(loaded).toMatchObject({ ok: false, code: 'policy-malformed' });
    expect(loaded.ok ? '' : loaded.reason).toMatch(reason);
    expect(await loadPolicies(control)).toEqual([loaded]);
    await expect(requirePolicy(control, 'domain-claim')).rejects.toMatchObject({ code: 'POLICY_INVALID' });
  });

  test('applying mends a malformed one', async () => {
    await applied();
    await control.query(`update portcullis_control.policy set policy = '{}'`);
    await applied();
    expect(await loadPolicy(control, 'domain-claim')).toMatchObject({ ok: true });
  });
});

describe('setting a flag', () => {
  beforeEach(() => applied());

  test('keeps a version that is given in the old spelling under its name of today', async () => {
    const given = { version: '1.0.0+aaaaaaaa', permille: 250 };
    const kept = { version: '1.0.0_aaaaaaaa', permille: 250 };
    expect(await setFlag(control, change({ variants: [given] }))).toMatchObject({ variants: [kept] });
    await expect(setFlag(control, change({ variants: [given, kept] }))).rejects.toThrow(/named twice/);
  });

  test('changes what is given and leaves the rest', async () => {
    const variants = [
      { version: '1.1.0_bbbbbbbb', permille: 1 },
      { version: '1.0.0_aaaaaaaa', permille: 999 },
    ];
    const on = await setFlag(control, change({ enabled: true, variants }));
    expect(on).toMatchObject({
      name: 'domain-claim.eu-west-1',
      enabled: true,
      variants,
      reason: 'a test',
      changedBy: 'tester',
    });
    expect(on.changedAt).toBeInstanceOf(Date);
    const off = await setFlag(control, change({ enabled: false, reason: 'enough' }));
    expect(off).toMatchObject({ enabled: false, variants, reason: 'enough' });
    expect(off.revision).toBeGreaterThan(on.revision);
    const cleared = await setFlag(control, change({ variants: [] }));
    expect(cleared).toMatchObject({ enabled: false, variants: [] });
  });

  test('keeps a history of every revision', async () => {
    for (const permille of [10, 20, 30]) {
      await setFlag(
        control,
        change({ enabled: true, variants: [{ version: '1.0.0', permille }], reason: `to ${permille}` }),
      );
    }
    expect(await reasonsGiven('eu-west-1')).toEqual([
      'to 30',
      'to 20',
      'to 10',
      'new in the policy: a flag begins switched off',
    ]);
  });

  test.each<[string, Partial<FlagChange>, RegExp]>([
    ['nothing to change', {}, /nothing to change/],
    ['no reason', { enabled: true, reason: '  ' }, /^A reason is required\.$/],
    ['a share of nothing', { variants: [{ version: '1.0.0', permille: 0 }] }, /at least 1/],
    ['half a thousandth', { variants: [{ version: '1.0.0', permille: 0.5 }] }, /whole number/],
    ['over 1000', { variants: [{ version: '1.0.0', permille: 1001 }] }, /at most 1000/],
    [
      'more than the whole together',
      {
        variants: [
          { version: '1.0.0', permille: 600 },
          { version: '2.0.0', permille: 401 },
        ],
      },
      /add up to 1001 of 1000/,
    ],
    [
      'a version twice',
      {
        variants: [
          { version: '1.0.0', permille: 1 },
          { version: '1.0.0', permille: 2 },
        ],
      },
      /named twice/,
    ],
    ['hold as a version', { variants: [{ version: 'hold', permille: 10 }] }, /not a version/],
    ['a version with a space', { variants: [{ version: '1.0 .0', permille: 10 }] }, /not a version/],
    ['a word for a switch', { enabled: 'yes' as unknown as boolean }, /true or false/],
  ])('refuses %s and changes nothing', async (_, more, message) => {
    const before = await listFlags(control);
    const refused = setFlag(control, change(more));
    await expect(refused).rejects.toMatchObject({
      code: 'FLAG_CHANGE_INVALID',
      message: expect.stringMatching(message) as unknown,
    });
    expect(await listFlags(control)).toEqual(before);
  });

  test('names all the faults of a change at once', async () => {
    await expect(
      setFlag(
        control,
        change({ reason: '', enabled: 1 as unknown as boolean, variants: [{ version: '', permille: 0 }] }),
      ),
    ).rejects.toMatchObject({
      details: {
        faults: [
          expect.stringContaining('enabled') as unknown,
          expect.stringContaining('variants.0.version') as unknown,
          expect.stringContaining('variants.0.permille') as unknown,
          expect.stringContaining('reason') as unknown,
        ],
      },
    });
  });

  test('an unknown job or region is named with the nearest there is', async () => {
    await expect(setFlag(control, change({ job: 'domain-clain', enabled: false }))).rejects.toMatchObject({
      code: 'JOB_UNKNOWN',
      hint: 'did you mean domain-claim?',
    });
    await expect(setFlag(control, change({ region: 'eu-west-l', enabled: false }))).rejects.toMatchObject({
      code: 'REGION_UNKNOWN',
      hint: 'did you mean eu-west-1?',
    });
    await expect(readFlag(control, 'domain-claim', 'moon')).rejects.toMatchObject({
      code: 'REGION_UNKNOWN',
      hint: 'there are eu-west-1, us-east-1',
    });
  });

  test('a region that left the policy can be switched off and not on', async () => {
    await applied('us-east-1');
    await expect(setFlag(control, change({ enabled: true }))).rejects.toMatchObject({
      code: 'REGION_UNKNOWN',
    });
    await expect(
      setFlag(control, change({ variants: [{ version: '1.0.0', permille: 1 }] })),
    ).rejects.toMatchObject({ code: 'REGION_UNKNOWN' });
    expect(await setFlag(control, change({ enabled: false }))).toMatchObject({ enabled: false });
  });

  test('without a sound policy a flag can be switched off and not on', async () => {
    await control.query(`update portcullis_control.policy set policy = '{}'`);
    await expect(setFlag(control, change({ enabled: true }))).rejects.toMatchObject({
      code: 'POLICY_INVALID',
    });
    expect(await setFlag(control, change({ enabled: false }))).toMatchObject({ enabled: false });
    await control.query('delete from portcullis_control.policy');
    await expect(setFlag(control, change({ enabled: true }))).rejects.toMatchObject({
      code: 'POLICY_MISSING',
    });
  });

  test('of two who read the same revision, one changes it and the other is told', async () => {
    const { revision } = await readFlag(control, 'domain-claim', 'eu-west-1');
    const both = await Promise.allSettled(
      [1, 2].map((permille) =>
        setFlag(control, change({ variants: [{ version: '1.0.0', permille }], ifRevision: revision })),
      ),
    );
    const refused = both.filter((each) => each.status === 'rejected');
    expect(refused).toHaveLength(1);
    expect(refused[0]?.reason).toMatchObject({ code: 'FLAG_REVISION_STALE', details: { given: revision } });
  });

  test('a row that somebody wrote by hand and wrongly is listed as malformed', async () => {
    await control.query(
      `update portcullis_control.flag set enabled = true, variants = '[{"version": "1.0.0", "permille": "all"}]'
       where region = 'eu-west-1'`,
    );
    const [flag] = await listFlags(control, 'domain-claim');
    expect(flag).toMatchObject({
      enabled: true,
      variants: [],
      malformed: expect.stringContaining('permille') as unknown,
    });
  });
});
