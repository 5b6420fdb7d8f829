import { expect } from '@jest/globals';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import type { PortcullisProvider } from '../../src/flags/provider.js';
import { reconcileGate } from '../../src/gate/permit.js';
import { elect } from '../../src/runs/election.js';
import {
  askBreakGlass,
  type BreakGlassSources,
  decideBreakGlass,
  revokeBreakGlass,
} from '../../src/rollout/break-glass.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { claimEverything, seedAccounts } from './accounts.js';
import { admitVersions } from './admissions.js';
import { atPoint } from './at-point.js';
import type { TestDatabase } from './database.js';
import { person } from './people.js';
import { loadTestJob, testPlatform, testPolicy } from './platform.js';
import { until } from './until.js';
import { onFaultPoint } from '../../src/kernel/fault-point.js';
import { listBreakGlass } from '../../src/flags/browse-break-glass.js';

const [ann, bob, cem] = [person('ann', 'operator'), person('bob', 'approver'), person('cem', 'operator')];

/** A job whose flag an Unleash server has. */
export interface Elsewhere {
  readonly database: TestDatabase;
  readonly job: string;
  readonly region: string;
  readonly version: string;
  readonly provider: PortcullisProvider;
  /** Gives the version everything, by whatever way the server has. */
  readonly raise: () => Promise<unknown>;
}

/**
 * What a version may do whose flag an Unleash server turns up: a tenth, which a rollout has admitted, before break-glass
 * and after it, and a half while that is in force. Once it is over, a run that rests on it meets the fence, also where
 * its process has not heard so. Throws where any of this is not so.
 */
export async function breakGlassElsewhere(elsewhere: Elsewhere): Promise<void> {
  const { database, job, region, version, provider, raise } = elsewhere;
  const { owner } = database;
  const flag = `${job}.${region}`;
  await applyPolicies(
    owner,
    [parsePolicyFile(`job: ${job}\nschedule: '0 0 1 1 *'\nregions: [${region}]\n`, 'test.yaml')],
    'test',
  );
  await seedAccounts(owner, region, 100, 2);
  const base = testPlatform(database);
  const platform = { ...base, flags: provider };
  const loaded = { ...(await loadTestJob(base, claimEverything(job))), version };
  const policy = testPolicy(job, [region], { apply: { lanes: 1, batch: 1, firstBatches: [] } });
  const run = async () => {
    await owner.query(
      `update directory.account set state = 'UNMANAGED', organisation_id = null, claimed_at = null where home_region = $1`,
      [region],
    );
    await reconcileGate(platform.region, job, region, () => provider.look(flag), policy.permitMs);
    const election = await elect(platform.region, {
      ...{ job, version, region, trigger: 'manual' as const },
      ...{ worker: platform.worker, leaseMs: policy.leaseMs },
    });
    if (!election.elected) throw new Error(election.why);
    const { signal } = new AbortController();
    const report = await executeRun(platform, loaded, policy, election.run, 'planning', { signal });
    const { rows } = await owner.query<{
      units: number;
      asked: number | null;
      admitted: number | null;
      glass: string | null;
      batches: number;
    }>(
      `select coalesce(admitted_units, 0) as units, asked_permille as asked, admitted_permille as admitted,
         break_glass as glass, (select count(*) from portcullis_region.batch b where b.run = r.id) as batches
       from portcullis_region.run r where id = $1`,
      [election.run.id],
    );
    return { ...rows[0], status: report?.status, reason: report?.reason };
  };
  /** The break-glass that the provider has heard of. */
  const inForce = (): string | undefined => {
    const answer = provider.look(flag);
    return answer.open ? answer.definition.admission?.breakGlass?.get(version)?.id : undefined;
  };
  const epoch = async (): Promise<number> => {
    const { rows } = await owner.query<{ epoch: number }>(
      'select epoch from portcullis_region.version_epoch where job = $1 and region = $2 and version = $3',
      [job, region, version],
    );
    return rows[0]?.epoch ?? 0;
  };
  const sources: BreakGlassSources = {
    control: owner,
    regionOf: () => owner,
    verdictsOf: () => Promise.resolve([]),
  };
  const order = { job, version, regions: [region], permille: 500, reason: 'it cannot wait' };
  const granted = async (): Promise<string> => {
    const { id } = await askBreakGlass(sources, order, ann);
    await decideBreakGlass(sources, id, bob, 'approve');
    await until('break-glass is heard of', () => inForce() === id);
    return id;
  };
  const small = { glass: null, asked: 1000, admitted: 100, status: 'succeeded' };

  await admitVersions(owner, { job, region }, [version], 100);
  await raise();
  await until('it is turned up, and open', () => {
    const answer = provider.look(flag);
    return answer.open && answer.definition.admission?.asked?.get(version) === 1000;
  });
  const before = await run();
  expect(before).toMatchObject(small);
  const { units = 0 } = before;
  expect(units).toBeLessThan(30);
  const { id: pending } = await askBreakGlass(sources, order, ann);
  expect(await run()).toMatchObject({ ...small, units });
  await decideBreakGlass(sources, pending, bob, 'approve');
  await until('break-glass is heard of', () => inForce() === pending);
  const under = await run();
  expect(under).toMatchObject({ glass: pending, asked: 1000, admitted: 500, status: 'succeeded' });
  expect(under.units).toBeGreaterThan(35);
  expect(under.units).toBeLessThanOrEqual(50 + 15);

  // By itself, in the middle of a run.
  let epochBefore = Infinity;
  atPoint('apply.before-fence', 5, async () => {
    epochBefore = await epoch();
    await owner.query(
      `update portcullis_control.break_glass set expires_at = clock_timestamp() where id = $1`,
      [pending],
    );
    await until('its end is heard of', () => inForce() === undefined);
    await until('and carried to the gate', async () => (await epoch()) > epochBefore);
  });
  const stopped = await run();
  onFaultPoint(undefined);
  expect(stopped).toMatchObject({ glass: pending, status: 'stopped', batches: 4 });
  expect(await run()).toMatchObject({ ...small, units });

  // By a person.
  const revoked = await granted();
  expect(await run()).toMatchObject({ glass: revoked, admitted: 500 });
  await revokeBreakGlass(owner, { id: revoked, reason: 'enough' }, cem);
  await until('that is heard of', () => inForce() === undefined);
  expect(await run()).toMatchObject({ ...small, units });
  const all = (await listBreakGlass(owner, { job })).filter((each) => each.region === region);
  expect(all).toMatchObject([
    { id: revoked, ended: 'revoked' },
    { id: pending, ended: 'expired' },
  ]);
  await base.planner.close();
}
