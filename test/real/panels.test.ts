import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { z } from 'zod';
import { grantBreakGlass } from '../../src/flags/break-glass.js';
import { listFlags } from '../../src/flags/flag-store.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { setAdmittedFlag } from '../support/admissions.js';
import { startRollout } from '../../src/rollout/start-rollout.js';
import { dashboardQueries, rulesText } from '../support/dashboard-queries.js';
import { testDatabase } from '../support/database.js';
import { portcullis, temporaryFolder, type Running } from '../support/portcullis.js';
import { freePort, startPrometheus, type RealServer } from '../support/prometheus.js';
import { until } from '../support/until.js';
import { person, tokenOf } from '../support/people.js';

/**
 * A real Prometheus scrapes a Portcullis on which all happens that a panel or a rule is about. The tests of this
 * file follow on one another.
 */

const { owner, url: databaseUrl } = await testDatabase();
/** For the longest wait; on a machine of its own, each is seconds. */
const PATIENCE_MS = 150_000;
const TEST_MS = PATIENCE_MS + 5_000;
const JOB = 'domain-claim';
const STABLE = 'eu-west-1';
const BAKING = 'us-west-2';
const ann = person('ann', 'operator');

/** Nobody answers `gates`, and nothing fails but when an alert says so. */
const policy = (nowhere: number): string => `
job: ${JOB}
schedule: '*/2 * * * * *'
regions: [${STABLE}, us-east-1, ${BAKING}, eu-central-1]
guard:
  prometheus: [{ url: 'http://127.0.0.1:${nowhere}' }]
  rules:
    - { kind: count, name: claims-per-run, change: claim, alpha: 0.00025, floor: 100000 }
    - { kind: promql, name: gates, query: 'up', below: 1 }
    - { kind: outcome, name: logins, event: login-failed, alpha: 0.01, tolerance: 1.1 }
    - { kind: alert, name: pager, alerts: [ClaimsSpike] }
rollout:
  waves:
    - { name: canary, regions: [${BAKING}], steps: [50%, 100%], bake: { runs: 1000, changes: 10, time: 1h } }
    - { name: rest, regions: [${STABLE}, us-east-1, eu-central-1], steps: [100%], bake: { runs: 1, changes: 1, time: 1h } }
`;

let serving: Running;
let prometheus: RealServer | undefined;
let env: Record<string, string>;
let target: string;
let token: string;
const begunAt = Date.now();

beforeAll(async () => {
  const [http, port, nowhere] = await Promise.all([freePort(), freePort(), freePort()]);
  target = `127.0.0.1:${http}`;
  const folder = await temporaryFolder({ 'domain-claim.yaml': policy(nowhere) });
  env = {
    PORTCULLIS_HOME: `${folder}/home`,
    PORTCULLIS_FLAGS: folder,
    PORTCULLIS_DATABASE_URL: databaseUrl,
    PORTCULLIS_HTTP: target,
    PORTCULLIS_LOG_LEVEL: 'error',
  };
  ({ token } = await tokenOf(owner, { name: 'product', role: 'worker' }));
  serving = portcullis(['start', '--sample', '--run-now', '--json'], { env });
  prometheus = await startPrometheus({
    ...{ port, target, rules: await rulesText(), honorLabels: true },
    alertmanager: `127.0.0.1:${nowhere}`,
  });
}, 400_000);

// Portcullis itself is ended by test/support/portcullis.ts, which was there first.
afterAll(() => prometheus?.stop());

const Answer = z.object({
  data: z.object({ result: z.array(z.object({ values: z.array(z.tuple([z.number(), z.string()])) })) }),
});

/** The numbers that Prometheus has for a query, one a second from the beginning until now. */
async function numbersFor(expr: string): Promise<number[]> {
  const asked = new URLSearchParams({
    query: expr,
    start: String(begunAt / 1_000),
    end: String(Date.now() / 1_000),
    step: '1',
  });
  const response = await fetch(`${prometheus?.url ?? ''}/api/v1/query_range`, {
    method: 'POST',
    body: asked,
  });
  const { data } = Answer.parse(await response.json());
  return data.result
    .flatMap(({ values }) => values.map(([, value]) => Number(value)))
    .filter((value) => !Number.isNaN(value));
}

/** Waits until Prometheus has a number for this. */
async function untilScraped(expr: string): Promise<void> {
  await until(
    expr,
    async () => {
      if (serving.child.exitCode !== null) throw new Error((await serving.finished).stderr);
      return (await numbersFor(expr)).length > 0;
    },
    PATIENCE_MS,
  );
}

const claimedIn = (region: string): string =>
  `portcullis_changes_total{region="${region}",kind="claim",stage="applied"} > 0`;

/** Every claim is undone, and every domain is due for its check: the next runs have something to claim. */
async function release(): Promise<void> {
  await owner.query(
    `update directory.account set state = 'UNMANAGED', organisation_id = null, claimed_at = null,
       claimed_domain_id = null where state = 'MANAGED' and claimed_at is not null`,
  );
  await owner.query(`update directory.domain set next_check_at = now() where state = 'VERIFIED'`);
}

async function post(path: string, body: unknown): Promise<void> {
  const answer = await fetch(`http://${target}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect([answer.status, await answer.text()]).toEqual([200, expect.anything()]);
}

async function succeed(...args: string[]): Promise<void> {
  const { code, stderr } = await portcullis(args, { env }).finished;
  expect([args, code, stderr]).toEqual([args, 0, expect.anything()]);
}

/** A count is compared with a day of runs before it, if the job runs more often than daily. */
async function haveRunForADay(run: string): Promise<void> {
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, trigger, status, reason_code, reason, worker, lease_until, admitted_units, planned,
        planned_units, slot, created_at, planned_at, finished_at)
     select gen_random_uuid(), job, version, region, trigger, status, reason_code, reason, worker, lease_until,
       admitted_units, planned, planned_units, slot - ago, created_at - ago, planned_at - ago, finished_at - ago
     from portcullis_region.run, generate_series(1, 100) n, lateral (select n * interval '20 minutes' as ago) earlier
     where id = $1`,
    [run],
  );
}

/** The newest run that changed accounts in a region, and one of the organisations that it hit. */
async function claimingRun(region: string): Promise<{ id: string; version: string; unit: string }> {
  const { rows } = await owner.query<{ id: string; version: string; unit: string }>(
    `select r.id, r.version, c.unit
     from portcullis_region.run r join portcullis_region.change c on c.run = r.id
     where r.region = $1 and r.status = 'succeeded' and c.kind = 'claim' and r.restores is null
     order by r.created_at desc limit 1`,
    [region],
  );
  if (!rows[0]) throw new Error(`no run has claimed in ${region}`);
  return rows[0];
}

test(
  'runs: they change things, are compared with those before, and one fails',
  async () => {
    await untilScraped(claimedIn(STABLE));
    const { id } = await claimingRun(STABLE);
    await haveRunForADay(id);
    await release();
    await until('claims again', async () => (await claimingRun(STABLE)).id !== id, PATIENCE_MS);
    await untilScraped(`portcullis_guard_evidence{region="${STABLE}",measure="p"}`);
    await owner.query('alter table directory.request rename to request_away');
    try {
      await untilScraped('portcullis_runs_total{status="failed"}');
    } finally {
      await owner.query('alter table directory.request_away rename to request');
    }
  },
  TEST_MS,
);

test(
  'a rollout: it gives shares, its version bakes, and products report outcomes',
  async () => {
    const { version } = await claimingRun(STABLE);
    for (const { region } of await listFlags(owner, JOB))
      await setAdmittedFlag(owner, { job: JOB, region, variants: [], reason: 'to begin', changedBy: 'ann' });
    await startRollout(owner, { job: JOB, version, reason: 'from nothing' }, ann);
    await untilScraped(claimedIn(BAKING));
    const { unit } = await claimingRun(BAKING);
    const outcome = { id: 'one', job: JOB, region: BAKING, unit, kind: 'login-failed' };
    await post('/api/v1/outcomes', { outcomes: [{ ...outcome, at: new Date().toISOString() }] });
    await untilScraped('portcullis_guard_evidence{measure="lnE"}');
    await untilScraped('portcullis_guard_verdicts_total{verdict="unreachable"}');
    await untilScraped('portcullis_rollout_share');
    await inTransaction(owner, (client) =>
      grantBreakGlass(client, {
        ...{ id: 'glass234', job: JOB, version: '9.9.9_99999999', regions: [STABLE], permille: 10 },
        ...{ forMs: 3_600_000, reason: 'a hotfix', requestedBy: 'ann', approvedBy: 'bob' },
      }),
    );
    await untilScraped('portcullis_break_glass_share > 0');
  },
  TEST_MS,
);

test(
  'a trip: an alert drops a gate; and what was claimed is put back',
  async () => {
    const labels = { alertname: 'ClaimsSpike', portcullis_job: JOB, portcullis_region: STABLE };
    const alert = { status: 'firing', fingerprint: '00c0ffee00c0ffee', startsAt: new Date().toISOString() };
    await post('/api/v1/hooks/alertmanager', {
      ...{ version: '4', groupKey: '{}', truncatedAlerts: 0 },
      alerts: [
        { ...alert, endsAt: '0001-01-01T00:00:00Z', labels, annotations: { summary: 'too many claims' } },
      ],
    });
    await untilScraped('portcullis_guard_trips_total > 0');
    const { rows } = await owner.query<{ id: string }>('select id from portcullis_control.incident');
    const [{ id } = { id: 'none' }] = rows;
    expect(rows).toHaveLength(1);
    await succeed('incident', 'include', id, (await claimingRun(STABLE)).id);
    // Seen before the restore as well as after: what is drawn is the rise.
    await untilScraped('portcullis_incident_rows{measure="changed"} > 0');
    await succeed('restore', id);
    await untilScraped('portcullis_incident_rows{measure="restored"} > 0');
  },
  TEST_MS,
);

/**
 * An alert answers only while it fires; when it does, promtool's cases show. Here, each of its comparisons says 0
 * or 1 instead, so that there is an answer wherever there is something to compare.
 */
const answering = (expr: string): string => expr.replaceAll(/ (>=|==|>) /g, ' $1 bool ');

test(
  'every query of every panel, annotation and rule has data',
  async () => {
    const queries = await dashboardQueries();
    expect(queries.length).toBeGreaterThan(40);
    let without = queries;
    const ask = async (): Promise<void> => {
      const answers = await Promise.all(
        without.map(({ expr, alert }) => numbersFor(alert ? answering(expr) : expr)),
      );
      without = without.filter((_, at) => answers[at]?.length === 0);
    };
    // The last things have to be scraped again, and recorded.
    await until('data', () => ask().then(() => without.length === 0), 60_000).catch(() => undefined);
    expect(without).toEqual([]);
  },
  TEST_MS,
);
