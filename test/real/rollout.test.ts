import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { parse, stringify } from 'yaml';
import { verifyAudit } from '../../src/audit/verify.js';
import { listFlags } from '../../src/flags/flag-store.js';
import { setAdmittedFlag } from '../support/admissions.js';
import { seedSampleWorld } from '../../src/demo/sample-world.js';
import { newestRollout, type Rollout, rolloutEvents } from '../../src/rollout/rollout-store.js';
import { approveWaiting } from '../../src/rollout/wave-approval.js';
import { buildWith, type Edit } from '../support/build.js';
import { checkShares } from '../support/check-shares.js';
import { testDatabase, type TestDatabase } from '../support/database.js';
import { portcullis, temporaryFolder, type Running } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { person } from '../support/people.js';

const databases = { healthy: await testDatabase(), faulty: await testDatabase() };

const JOB = 'domain-claim';
const CANARY = 'eu-west-1';
const OTHERS = ['eu-central-1', 'us-east-1'];
const REGIONS = [CANARY, ...OTHERS];
const bob = person('bob', 'approver');

const NEWER: Edit = { file: 'job.js', from: `version: '1.0.0'`, to: `version: '1.1.0'` };
/** Claims whoever is at the domain of an organisation, whether it has consented or not. */
const FAULT: readonly Edit[] = [
  { file: 'queries.js', from: ` and o.consent <> 'none'`, to: '' },
  { file: 'decide-claim.js', from: `it.consent === 'all' || it.consent === 'selected'`, to: 'true' },
  {
    file: 'decide-claim.js',
    from: `it.consent === 'all' || it.selected_by === it.domain_organisation_id`,
    to: 'true',
  },
];

/** For a rollout from its first step to its end: seconds on a machine of its own. */
const LIMIT_MS = 170_000;

/** The policy as it is shipped, but that a slot comes every two seconds and bakes take as long. */
async function policy(): Promise<string> {
  const shipped = parse(
    await readFile(new URL('../../flags/domain-claim.yaml', import.meta.url), 'utf8'),
  ) as { guard: { rules: { kind: string }[] } } & Record<string, unknown>;
  const bake = { runs: 2, changes: 5, time: '2s' };
  return stringify({
    ...shipped,
    schedule: '*/2 * * * * *',
    regions: REGIONS,
    // The other rules want a history, or products that report.
    guard: { ...shipped.guard, rules: shipped.guard.rules.filter(({ kind }) => kind === 'invariant') },
    rollout: {
      waves: [
        { name: 'canary', regions: [CANARY], steps: ['50%', '100%'], bake },
        { name: 'rest', regions: OTHERS, steps: ['20%', '100%'], bake, approvals: 1 },
      ],
    },
  });
}

interface World {
  readonly owner: pg.Pool;
  readonly stable: string;
  readonly candidate: string;
  readonly processes: readonly Running[];
  rollout(): Promise<Rollout>;
  /** What the flags give, by region: `1.1.0 500, 1.0.0 500`. */
  shares(): Promise<Record<string, string>>;
}

/** A control plane, and a worker of each of two builds; the stable one has every region, and a rollout of the other has begun. */
async function world({ owner, url }: TestDatabase, edits: readonly Edit[]): Promise<World> {
  await seedSampleWorld(owner, { seed: 'rollout', now: new Date() });
  const flags = await temporaryFolder({ 'domain-claim.yaml': await policy() });
  const env = {
    PORTCULLIS_DATABASE_URL: url,
    PORTCULLIS_FLAGS: flags,
    PORTCULLIS_HOME: flags,
    PORTCULLIS_LOG_LEVEL: 'warn',
  };
  // It serves no region: what acts are the two workers alone.
  const control = portcullis(['start', '--json'], {
    env: {
      ...env,
      PORTCULLIS_WORKER: 'control',
      PORTCULLIS_REGIONS: 'nowhere',
      PORTCULLIS_HTTP: '127.0.0.1:0',
    },
  });
  const ended: string[] = [];
  const watch = (running: Running): Running => {
    void running.finished.then(({ stderr }) => ended.push(stderr));
    return running;
  };
  const awaited = async <T>(what: string, condition: () => Promise<T | false | undefined>): Promise<T> =>
    until(
      what,
      () => {
        if (ended.length > 0) throw new Error(`a process has ended: ${ended.join()}`);
        return condition();
      },
      LIMIT_MS,
    );
  watch(control);
  await awaited('the policy applied', async () => (await listFlags(owner, JOB)).length === REGIONS.length);
  const announced = async (number: string): Promise<string | undefined> => {
    const { rows } = await owner.query<{ version: string }>(
      `select version from portcullis_control.worker_version
       where job = $1 and starts_with(version, $2) and cardinality(regions) = $3`,
      [JOB, `${number}_`, REGIONS.length],
    );
    return rows[0]?.version;
  };
  const workers = [
    portcullis(['worker', '--json'], { env: { ...env, PORTCULLIS_WORKER: 'stable' } }),
    portcullis(['worker', '--json'], {
      env: { ...env, PORTCULLIS_WORKER: 'candidate' },
      main: await buildWith([NEWER, ...edits]),
    }),
  ];
  workers.forEach(watch);
  const stable = await awaited('the stable version announced', () => announced('1.0.0'));
  const candidate = await awaited('the candidate announced', () => announced('1.1.0'));
  for (const region of REGIONS) {
    const variants = [{ version: stable, permille: 1000 }];
    await setAdmittedFlag(owner, {
      job: JOB,
      region,
      enabled: true,
      variants,
      reason: 'stable',
      changedBy: 'test',
    });
  }
  const order = ['rollout', 'start', JOB, '--version', '1.1.0', '--reason', 'newer'];
  expect(await portcullis(order, { env }).finished).toMatchObject({ code: 0 });
  return {
    ...{ owner, stable, candidate, processes: [control, ...workers] },
    rollout: async () => {
      const newest = await newestRollout(owner, JOB);
      if (!newest) throw new Error('there is no rollout');
      return newest;
    },
    shares: async () =>
      Object.fromEntries(
        (await listFlags(owner, JOB)).map(({ region, variants }) => [
          region,
          variants.map(({ version, permille }) => `${version.slice(0, 5)} ${permille}`).join(', '),
        ]),
      ),
  };
}

/** Gives back what was claimed, so that there is always something to claim again. */
async function release(owner: pg.Pool): Promise<void> {
  await owner.query(
    `update directory.account
     set state = 'UNMANAGED', organisation_id = null, claimed_domain_id = null, claimed_at = null
     where state = 'MANAGED' and id in (select key from portcullis_region.change where kind = 'claim')`,
  );
}

async function end({ processes }: World): Promise<void> {
  for (const { child } of processes) child.kill('SIGTERM');
  const codes = await Promise.all(processes.map(async ({ finished }) => (await finished).code));
  expect(codes).toEqual([0, 0, 0]);
}

describe('two builds of the job, as two worker processes beside a control plane', () => {
  let it: World;
  beforeAll(async () => {
    it = await world(databases.healthy, []);
  });

  test(
    'go through all waves, and no organisation gets both in a slot, or one outside its share',
    async () => {
      const { owner } = it;
      const rollout = await until(
        'the rollout over',
        async () => {
          await release(owner);
          const now = await it.rollout();
          if (now.status !== 'running') return now;
          await approveWaiting(owner, now.id, bob).catch(() => undefined);
          return undefined;
        },
        LIMIT_MS,
      );
      expect(rollout).toMatchObject({ status: 'completed', version: it.candidate });
      const events = await rolloutEvents(owner, rollout.id, 50);
      const moved = events.filter(({ action }) => action === 'advance').map(({ reason }) => reason);
      expect(moved.join('; ')).toContain(`${CANARY} from 50% to 100%`);
      for (const region of OTHERS) expect(moved.join('; ')).toContain(`${region} from 20% to 100%`);
      expect(await it.shares()).toEqual(Object.fromEntries(REGIONS.map((region) => [region, '1.1.0 1000'])));
      await end(it);
      const { runs, units } = await checkShares(owner, JOB);
      expect(runs).toBeGreaterThan(20);
      expect(units).toBeGreaterThan(200);
      expect((await verifyAudit(owner)).ok).toBe(true);
    },
    LIMIT_MS + 10_000,
  );
});

describe('a build that breaks an invariant', () => {
  let it: World;
  beforeAll(async () => {
    it = await world(databases.faulty, FAULT);
  });

  test(
    'is stopped by the guard at the canary’s first step; the others’ journals hold nothing of it, and the stable version goes on',
    async () => {
      const { owner, candidate, stable } = it;
      const rollout = await until(
        'the rollout over',
        async () => {
          const now = await it.rollout();
          return now.status !== 'running' && now;
        },
        LIMIT_MS,
      );
      expect(rollout).toMatchObject({
        status: 'aborted',
        version: candidate,
        endReason: expect.stringContaining('consent-is-given') as unknown,
      });
      expect(rollout.parts.map(({ region, step }) => [region, step])).toEqual([
        [CANARY, 0],
        ...OTHERS.map((region) => [region, -1]),
      ]);
      expect(await it.shares()).toEqual(Object.fromEntries(REGIONS.map((region) => [region, '1.0.0 1000'])));
      // The evidence is the candidate's alone: it is closed, and no region's gate.
      const closed = await owner.query<{ version: string; by: string }>(
        `select version, set_by as by from portcullis_region.quarantine where job = $1
         union all
         select region, killed_by from portcullis_region.gate where job = $1 and state = 'killed'`,
        [JOB],
      );
      expect(closed.rows).toEqual([{ version: candidate, by: 'guard:consent-is-given' }]);

      // What it would have done was planned there, and nowhere else; and nothing of it was written.
      const planned = () =>
        owner.query<{
          region: string;
          status: string;
          applied: object;
          written: number;
        }>(
          `select region, status, applied,
                (select count(*) from portcullis_region.batch b where b.run = run.id) as written
         from portcullis_region.run
         where version = $1 and exists (select from portcullis_region.change c where c.run = run.id)`,
          [candidate],
        );
      // The trip is there with the plan; the run ends after it.
      await until('the run has ended', async () => (await planned()).rows[0]?.status !== 'planning');
      const { rows } = await planned();
      expect(rows).toEqual([{ region: CANARY, status: 'refused', applied: {}, written: 0 }]);

      const after = new Date();
      for (const region of REGIONS) {
        await until(
          `${stable} goes on in ${region}`,
          async () => {
            await release(owner);
            const { rowCount } = await owner.query(
              `select from portcullis_region.run
               where version = $1 and region = $2 and status = 'succeeded' and applied ? 'claim' and created_at > $3`,
              [stable, region, after],
            );
            return rowCount !== null && rowCount > 0;
          },
          LIMIT_MS,
        );
      }
      const incidents = await owner.query<{ opened_by: string; version: string }>(
        'select opened_by, version from portcullis_control.incident',
      );
      expect(incidents.rows).toEqual([{ opened_by: 'guard:consent-is-given', version: candidate }]);
      await end(it);
      await checkShares(owner, JOB);
    },
    LIMIT_MS + 10_000,
  );
});
