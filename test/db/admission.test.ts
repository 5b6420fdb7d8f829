import { describe, expect, test } from '@jest/globals';
import type { Principal } from '../../src/access/roles.js';
import { verifyAudit } from '../../src/audit/verify.js';
import { admitInitially, readAdmissions } from '../../src/flags/admission-store.js';
import { embeddedDesk } from '../../src/flags/flag-desk.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { killGate } from '../../src/containment/kill-gate.js';
import { askLift, askRearm, decideRearm } from '../../src/containment/rearm-approval.js';
import { settleOlderControl } from '../../src/rollout/older-control.js';
import { killWithIncident } from '../../src/containment/kill-incident.js';
import { abortRollout, resumeRollout } from '../../src/rollout/steer.js';
import { testDatabase } from '../support/database.js';
import { openedProvider } from '../support/flag-sources.js';
import { ann, bake, begunOn, bob, rolling, skipBake, WAVES, type Rolling } from '../support/rolling.js';
import type { Variant } from '../../src/flags/variant.js';

const database = await testDatabase();
const { owner } = database;
const desk = embeddedDesk(owner);

type Begun = Awaited<ReturnType<typeof begunOn>>;

const regionA = ({ regions }: Begun): string => regions[0] ?? '';
const most = ({ candidate }: Begun): Variant[] => [{ version: candidate.version, permille: 1000 }];

/** For how many units the candidate's next run in each region may write; 0 where it is held. */
async function units(roll: Begun): Promise<number[]> {
  const reports = await roll.slot([roll.candidate]);
  return Promise.all(
    reports.map(async ({ run }) => {
      const { rows } = await owner.query<{ n: number | null }>(
        'select admitted_units as n from portcullis_region.plan where run = $1',
        [run.id],
      );
      return rows[0]?.n ?? 0;
    }),
  );
}

/** Everything to the candidate everywhere, by whoever may write to the table of flags. */
async function bySql(roll: Begun): Promise<void> {
  await owner.query(
    `update portcullis_control.flag set enabled = true, variants = $2, reason = 'sql', changed_by = 'dba' where job = $1`,
    [roll.job, JSON.stringify(most(roll))],
  );
}

async function setBy(roll: Begun, by: string): Promise<void> {
  for (const region of roll.regions) {
    const change = { job: roll.job, region, variants: most(roll), reason: 'all', changedBy: by };
    await expect(desk.set(change)).rejects.toMatchObject({ code: 'ADMISSION_EXCEEDED' });
  }
}

/** The policy as somebody would like it: everything at the first step. */
const hasty = (roll: Begun): string =>
  `job: ${roll.job}\nschedule: '*/5 * * * *'\nregions: [${roll.regions.join(', ')}]\n${WAVES.replaceAll('R-', regionA(roll).slice(0, -1)).replaceAll(/steps: \[\d+%/g, 'steps: [99.9%')}`;

async function approve(id: string): Promise<void> {
  await decideRearm(
    owner,
    () => owner,
    () => [owner],
    id,
    bob,
    'approve',
  );
}

/** Each is done while the candidate has a tenth of the first region, or nothing. */
const WAYS: readonly {
  readonly way: string;
  /** What comes before; after it, the candidate has what it has. */
  readonly first?: (roll: Begun) => Promise<unknown>;
  readonly act: (roll: Begun) => Promise<unknown>;
}[] = [
  { way: 'flags set by an operator', act: (roll) => setBy(roll, ann.name) },
  { way: 'flags set by an approver', act: (roll) => setBy(roll, bob.name) },
  { way: 'flags set by an admin', act: (roll) => setBy(roll, 'admin') },
  { way: 'SQL on the table of flags', act: bySql },
  {
    way: 'flags apply of a policy with larger steps',
    act: async (roll) => {
      await applyPolicies(owner, [parsePolicyFile(hasty(roll), 'hasty.yaml')], 'ann');
      await roll.look();
    },
  },
  {
    way: 'SQL on the policy',
    act: async (roll) => {
      const { document } = parsePolicyFile(hasty(roll), 'hasty.yaml');
      await owner.query('update portcullis_control.policy set policy = $2 where job = $1', [
        roll.job,
        JSON.stringify(document),
      ]);
      await roll.look();
    },
  },
  {
    way: 'resume, after the flags were changed by SQL',
    act: async (roll) => {
      await bySql(roll);
      await resumeRollout(owner, { job: roll.job, reason: 'go on', now: roll.now() }, ann);
    },
  },
  {
    way: 'revert of an abort, by flags set and by SQL',
    first: (roll) => abortRollout(owner, { job: roll.job, reason: 'bad' }, ann),
    act: async (roll) => {
      await setBy(roll, ann.name);
      await bySql(roll);
    },
  },
  {
    way: 're-arm of a gate that was killed',
    act: async (roll) => {
      const region = regionA(roll);
      await killGate(owner, { job: roll.job, region, reason: 'test', by: 'ann' });
      await bySql(roll);
      const ask = { job: roll.job, regions: [region], among: [], reason: 'again', onRearm: 'skip' } as const;
      await approve((await askRearm(owner, () => owner, ask, ann)).id);
    },
  },
  {
    way: 'lifting the quarantine of a version that was killed',
    first: (roll) => {
      const { job, regions, candidate } = roll;
      return killWithIncident(
        owner,
        () => owner,
        { job, regions, version: candidate.version, reason: 'bad' },
        ann,
      );
    },
    act: async (roll) => {
      const { version } = roll.candidate;
      await approve((await askLift(owner, [owner], { job: roll.job, version, reason: 'good' }, ann)).id);
      await bySql(roll);
    },
  },
  {
    way: 'a backup of the control database from before an abort',
    act: async (roll) => {
      const { id } = await roll.rollout();
      const saved = await Promise.all(
        ['flag', 'admission'].map(async (table) => {
          const { rows } = await owner.query<{ row: unknown }>(
            `select to_jsonb(t) as row from portcullis_control.${table} t where job = $1`,
            [roll.job],
          );
          return { table, rows: JSON.stringify(rows.map(({ row }) => row)) };
        }),
      );
      await abortRollout(owner, { job: roll.job, reason: 'bad' }, ann);
      expect(await units(roll)).toEqual([0, 0, 0]);
      for (const { table, rows } of saved) {
        await owner.query(`delete from portcullis_control.${table} where job = $1`, [roll.job]);
        await owner.query(`alter table portcullis_control.${table} disable trigger ${table}_written`);
        await owner.query(
          `insert into portcullis_control.${table}
           select * from jsonb_populate_recordset(null::portcullis_control.${table}, $1)`,
          [rows],
        );
        await owner.query(`alter table portcullis_control.${table} enable trigger ${table}_written`);
      }
      await owner.query(
        `update portcullis_control.rollout
         set status = 'running', ended_at = null, ended_by = null, end_reason = null where id = $1`,
        [id],
      );
      expect(await units(roll)).toEqual([0, 0, 0]);
      // The restored database draws as many revisions as it had lost, for this job too: the old admission stays old.
      await owner.query(
        `update portcullis_control.admission set changed_by = 'later' where job = $1 and version <> $2`,
        [roll.job, roll.candidate.version],
      );
      await bySql(roll);
      expect(await units(roll)).toEqual([0, 0, 0]);
      const { versions } = await settleOlderControl(owner, owner, 'test', true);
      const { version } = roll.candidate;
      expect(versions).toContainEqual({ job: roll.job, region: regionA(roll), version });
      expect((await readAdmissions(owner)).of(roll.job, regionA(roll)).permille.get(version)).toBe(0);
      expect((await settleOlderControl(owner, owner, 'test', true)).versions).toEqual([]);
      // It would have gone on: the regions have the evidence of its step.
      expect(await roll.rollout()).toMatchObject({
        status: 'aborted',
        endReason: expect.stringContaining('restored from a backup'),
      });
      await bake(roll).catch(() => undefined);
      expect(await units(roll)).toEqual([0, 0, 0]);
    },
  },
];

test.each(WAYS)('$way gives a version no unit beyond its admission', async ({ first, act }) => {
  const roll = await begunOn(database);
  await first?.(roll);
  const before = await units(roll);
  expect(before.slice(1)).toEqual([0, 0]);
  // A tenth of a hundred organisations, or about that.
  expect(before[0]).toBeGreaterThan(first ? -1 : 0);
  expect(before[0]).toBeLessThan(first ? 1 : 30);
  await act(roll);
  const after = await units(roll);
  for (const [at, n] of after.entries()) expect(n).toBeLessThanOrEqual(before[at] ?? 0);
  expect((await verifyAudit(owner)).ok).toBe(true);
});

describe('what admits a version', () => {
  test('a step of its rollout, also one whose bake was skipped', async () => {
    const roll = await begunOn(database);
    await skipBake(roll, 'urgent');
    await roll.look();
    expect(await units(roll)).toEqual([100, 0, 0]);
  });

  test('less is always possible, and back to what was admitted', async () => {
    const roll = await begunOn(database);
    const [job, region] = [roll.job, regionA(roll)];
    await bake(roll);
    const share = (permille: number) => {
      const variants = [{ version: roll.candidate.version, permille }];
      return desk.set({ job, region, variants, reason: 'test', changedBy: 'ann' });
    };
    await share(10);
    expect((await share(1000)).beyond).toEqual([]);
    await bySql(roll);
    // Beyond its admission in the others, where a smaller share is beyond it too.
    const [, other = ''] = roll.regions;
    const variants = [{ version: roll.candidate.version, permille: 500 }];
    const set = await desk.set({ job, region: other, variants, reason: 'less', changedBy: 'ann' });
    expect(set.beyond).toMatchObject([
      {
        asked: 500,
        admitted: 0,
        reason: `${roll.candidate.version} is admitted to 0%, the flag asks for 50%`,
      },
    ]);
  });

  test('--initial, for the first version of a job in a region, once and on record', async () => {
    const roll: Rolling = await rolling(database, WAVES);
    const { job, policy } = roll;
    await owner.query('delete from portcullis_control.admission where job = $1', [job]);
    const [a = '', ...others] = policy.regions;
    const order = { job, version: roll.stable.version, reason: 'first' };
    expect(await admitInitially(owner, { ...order, regions: [a] }, ann)).toEqual([a]);
    await expect(admitInitially(owner, { ...order, regions: [a] }, ann)).rejects.toMatchObject({
      code: 'INITIAL_DONE',
    });
    expect(await admitInitially(owner, order, ann)).toEqual(others);
    const next = { ...order, version: roll.candidate.version };
    await expect(admitInitially(owner, next, ann)).rejects.toMatchObject({ code: 'INITIAL_DONE' });
    const bound: Principal = { name: 'eve', role: 'operator', regions: [a] };
    await expect(admitInitially(owner, order, bound)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect((await readAdmissions(owner)).of(job, a).permille.get(roll.stable.version)).toBe(1000);
    const { rows } = await owner.query(
      `select evidence from portcullis_control.audit where action = 'admit-version' and subject like $1 and principal = 'ann'`,
      [`${job} %`],
    );
    expect(rows).toHaveLength(3);
  });

  test('a flag of an Unleash server admits nothing, by weights and by strategies', async () => {
    const roll = await begunOn(database);
    const { source, provider } = await openedProvider();
    source.admissions = await readAdmissions(owner);
    const version = roll.candidate.version;
    const all = Array.from({ length: 1_000 }, (_, n) => `unit-${n}`);
    const variants = [
      { name: version, weight: 1000, weightType: 'variable', stickiness: 'default', payload: undefined },
    ];
    const parameters = { rollout: '100', groupId: 'g', stickiness: 'default' };
    const constraints = [
      { contextName: 'region', operator: 'IN', inverted: false, values: [...roll.regions] },
    ];
    for (const strategies of [
      [],
      [{ name: 'flexibleRollout', parameters, constraints: [], segments: [], variants: [] }],
      [{ name: 'flexibleRollout', parameters, constraints, segments: [], variants: [] }],
    ]) {
      const features = roll.regions.map((region) => ({
        ...{ name: `${roll.job}.${region}`, type: 'release', enabled: true, project: 'default' },
        ...{ stale: false, impressionData: false, strategies, variants },
      }));
      source.sayFeatures(features as unknown as Parameters<typeof source.sayFeatures>[0]);
      const [a, b] = roll.regions.map((region) => provider.look(`${roll.job}.${region}`));
      expect(b).toMatchObject({ open: false, code: 'version-not-admitted' });
      if (a?.open !== true) throw new Error('the first region is closed');
      const given = provider.admit(a.definition, version, all);
      expect(given.size).toBeGreaterThan(50);
      expect(given.size).toBeLessThan(150);
    }
  });
});
