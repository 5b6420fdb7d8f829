import { beforeAll, expect, test } from '@jest/globals';
import { createTripwire } from '../../src/containment/tripwire.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { type AdvancePorts, advanceRollout } from '../../src/rollout/advance.js';
import { announceVersions } from '../../src/rollout/announce.js';
import { newestRollout } from '../../src/rollout/rollout-store.js';
import { startRollout } from '../../src/rollout/start-rollout.js';
import { stopVersion } from '../../src/rollout/stop-version.js';
import { createLogger } from '../../src/telemetry/log.js';
import { createMetrics } from '../../src/telemetry/metrics.js';
import { buildWith } from '../support/build.js';
import { testDatabase } from '../support/database.js';
import { portcullis } from '../support/portcullis.js';
import { ann } from '../support/rolling.js';
import { sampleWorld, type SampleWorld } from './sample.js';

const database = await testDatabase();
const { owner } = database;
const [REGION] = SAMPLE_REGIONS;
const JOB = 'domain-claim';

/** One conflict is one too many. */
const GUARD = '{ caps: [], rules: [{ kind: rate, name: conflicts, of: conflicts, acceptable: 0% }] }';
const POLICY = `
apply: { lanes: 1, batch: 1, firstBatches: [] }
rollout:
  waves: [{ name: all, regions: [${SAMPLE_REGIONS.join(', ')}], steps: [50%, 100%], bake: { runs: 9, changes: 9, time: 1h } }]
`;

let world: SampleWorld;
let candidate: { readonly main: string; readonly version: string };
const regionDatabases = { control: owner, ownerOf: () => owner };
const trips = createTripwire(regionDatabases, createMetrics(), createLogger({ level: 'silent' }));
const ports: AdvancePorts = {
  control: owner,
  regionOf: () => owner,
  verdictsOf: () => Promise.resolve([]),
  trip: (fault) => stopVersion(regionDatabases, trips, fault),
};

beforeAll(async () => {
  world = await sampleWorld(database, POLICY, GUARD);
  const main = await buildWith([{ file: 'job.js', from: `version: '1.0.0'`, to: `version: '1.1.0'` }]);
  const dry = portcullis(['run', JOB, '--region', REGION, '--dry-run', '--json'], { main, env: world.env });
  const { version } = JSON.parse((await dry.finished).stdout) as { version: string };
  candidate = { main, version };
  await startRollout(owner, { job: JOB, version, reason: 'new claims' }, ann);
  await look();
}, 400_000);

async function look(): Promise<void> {
  // Its runs are started by hand: no worker process announces it.
  const { version } = candidate;
  await announceVersions(owner, 'by hand', [{ job: JOB, version, regions: SAMPLE_REGIONS }]);
  const rollout = await newestRollout(owner, JOB);
  if (!rollout || !(await advanceRollout(ports, rollout.id))) throw new Error('nobody looked');
}

/**
 * Both runs take their time until they have met: the stable version's until the trip has closed something, the
 * candidate's until the other has written. Then somebody else changes an account that the candidate is about to claim.
 */
async function arrange(): Promise<void> {
  await owner.query(`
    create table public.meddled (account text);
    create function public.arrange() returns trigger language plpgsql security definer as $$
    begin
      if (select version from portcullis_region.run where id = new.run) <> '${candidate.version}' then
        if not exists (select from portcullis_region.trip where fenced_at is not null) then
          perform pg_sleep(0.1);
        end if;
      elsif not exists (select from public.meddled) then
        if (select count(*) from portcullis_region.batch b join portcullis_region.run r on r.id = b.run
            where r.region = '${REGION}' and r.version <> '${candidate.version}') < 3 then
          perform pg_sleep(0.1);
        else
          with next as (
            select key from portcullis_region.change
            where run = new.run and lane = new.lane and seq > new.to_seq + 3 and kind = 'claim' order by seq limit 1),
          changed as (
            update directory.account a set email = 'meddled-' || a.email from next where a.id = next.key returning a.id)
          insert into public.meddled select id from changed;
        end if;
      end if;
      return null;
    end $$;
    create trigger arrange after insert on portcullis_region.batch
      for each row execute function public.arrange()`);
}

interface Ran {
  readonly status: string;
  readonly code: string;
  readonly planned: number;
  readonly applied: number;
  readonly conflicts: number;
  readonly before: number;
  readonly after: number;
}

/** How a version's run ended, and its batches before and after the trip had closed what it closes. */
async function ran(version: string): Promise<Ran | undefined> {
  const { rows } = await owner.query<Ran>(
    `select r.status, r.reason_code as code, r.conflicts,
       (select count(*) from portcullis_region.change c where c.run = r.id) as planned,
       (select coalesce(sum(to_seq - from_seq), 0)::integer from portcullis_region.batch b where b.run = r.id) as applied,
       (select count(*) from portcullis_region.batch b where b.run = r.id and b.applied_at < t.fenced_at) as before,
       (select count(*) from portcullis_region.batch b where b.run = r.id and b.applied_at >= t.fenced_at) as after
     from portcullis_region.run r, portcullis_region.trip t
     where r.version = $1 and r.region = $2 and not r.dry_run`,
    [version, REGION],
  );
  return rows[0];
}

test('a candidate trips while the stable version’s run is in flight: that run applies to the end, and the candidate commits nothing more', async () => {
  await arrange();
  const run = ['run', JOB, '--region', REGION, '--json'];
  const stable = portcullis(run, { env: world.env });
  const tripping = portcullis(run, { main: candidate.main, env: world.env });
  const [stableEnd, candidateEnd] = await Promise.all([stable.finished, tripping.finished]);
  expect(JSON.parse(candidateEnd.stdout)).toMatchObject({ status: 'killed', version: candidate.version });
  expect(candidateEnd.code).toBe(3);
  expect(stableEnd.code).toBe(0);
  const { version } = JSON.parse(stableEnd.stdout) as { version: string };
  expect(version).not.toBe(candidate.version);

  const bad = await ran(candidate.version);
  expect(bad).toMatchObject({ status: 'killed', code: 'guard-tripped', after: 0 });
  expect(bad?.applied).toBeLessThan(bad?.planned ?? 0);
  const good = await ran(version);
  expect(good).toMatchObject({ status: 'succeeded', conflicts: 0, applied: good?.planned });
  expect(good?.before).toBeGreaterThan(2);
  expect(good?.after).toBeGreaterThan(0);

  const { rows } = await owner.query(
    `select t.closed, t.version, t.settled_at is not null as settled, g.state,
       (select array_agg(q.version) from portcullis_region.quarantine q) as quarantined
     from portcullis_region.trip t join portcullis_region.gate g using (job, region)`,
  );
  expect(rows).toEqual([
    {
      ...{ closed: 'candidate', version: candidate.version, settled: true },
      ...{ state: 'open', quarantined: [candidate.version] },
    },
  ]);
  // The rollout takes the candidate back, and the stable version has everything again.
  await look();
  expect(await newestRollout(owner, JOB)).toMatchObject({ status: 'aborted' });
  const flags = await owner.query(`select distinct variants from portcullis_control.flag where job = $1`, [
    JOB,
  ]);
  expect(flags.rows).toEqual([{ variants: [{ version, permille: 1000 }] }]);
}, 300_000);
