import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Rule } from '../../../src/flags/guard-policy.js';
import type { Policy } from '../../../src/flags/policy.js';
import { bakeJob, EVERYWHERE, startBake, type BakePlatform } from '../../../src/guard/bake/bake.js';
import { dropGateBy, type BakeFailure } from '../../../src/containment/drop-gate.js';
import { keepOutcomes } from '../../../src/guard/bake/outcome-report.js';
import { readVerdicts } from '../../../src/guard/bake/verdicts.js';
import { createTripwire } from '../../../src/containment/tripwire.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { testDatabase } from '../../support/database.js';
import { HandSetFlags, noRules, testPolicy } from '../../support/platform.js';
import { until } from '../../support/until.js';
import { PLACE, emptyJournal, seedJournal } from './journal.js';

const { owner } = await testDatabase();
const { job, region } = PLACE;
const NEW = '1.1.0_b';
const OLD = '1.0.0_a';

/** A Prometheus that answers as it is told. */
type Say = (response: ServerResponse, query: string) => void;
const vector =
  (...values: string[]): Say =>
  (response) =>
    response.end(
      JSON.stringify({
        status: 'success',
        data: {
          resultType: 'vector',
          result: values.map((value) => ({ metric: {}, value: [Date.now() / 1_000, value] })),
        },
      }),
    );
let say: Say = vector('1');
const asked: string[] = [];
const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text: string) => (body += text));
  request.on('end', () => {
    const query = new URLSearchParams(body).get('query') ?? '';
    asked.push(query);
    say(response, query);
  });
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const flags = new HandSetFlags();
const metrics = createMetrics();
const log = createLogger({ level: 'silent' });
const dropped: BakeFailure[] = [];
let broken = false;
const platform: BakePlatform = {
  control: owner,
  ownerOf: () => owner,
  policies: () => Promise.resolve([]),
  look: (flag) => flags.look(flag),
  dropGate: (failure) => {
    if (broken) return Promise.reject(new Error('connect ECONNREFUSED'));
    dropped.push(failure);
    return Promise.resolve(failure.closing);
  },
  log,
  metrics,
  settleMs: 0,
};

const policyOf = (rules: readonly Rule[], regions: readonly string[] = [region]): Policy =>
  testPolicy(job, regions, { guard: { ...noRules, prometheus: [{ url }], rules } });
const QUERY: Rule = { kind: 'promql', name: 'errors', query: 'errors{v="{{version}}"}', above: 5, forMs: 0 };
const LOGINS: Rule = { kind: 'outcome', name: 'logins', event: 'login-failed', alpha: 0.01, tolerance: 1 };

async function bake(...rules: Rule[]): Promise<Record<string, string>> {
  await bakeJob(platform, policyOf(rules));
  const verdicts = await readVerdicts(owner, { job, version: NEW, region });
  return Object.fromEntries(verdicts.map(({ rule, verdict }) => [rule, verdict]));
}
const notices = async (): Promise<string[]> =>
  (await owner.query<{ title: string }>('select title from portcullis_control.notice order by at')).rows.map(
    ({ title }) => title,
  );

beforeEach(async () => {
  await emptyJournal(owner);
  await owner.query(
    'delete from portcullis_control.bake_verdict; delete from portcullis_control.notice; delete from portcullis_control.alert',
  );
  flags.open(job, region, { version: NEW, permille: 100 }, { version: OLD, permille: 900 });
  dropped.length = 0;
  asked.length = 0;
  broken = false;
  say = vector('1');
});

describe('a Prometheus query', () => {
  test('that is right passes, asked for the version that bakes; the verdict has its age', async () => {
    expect(await bake(QUERY)).toEqual({ errors: 'pass' });
    expect(asked).toEqual([`errors{v="${NEW}"}`]);
    const [verdict] = await readVerdicts(owner, { job, version: NEW });
    expect(verdict).toMatchObject({ rule: 'errors', kind: 'promql', reason: 'errors: 1 is not above 5' });
    expect(verdict?.ageMs).toBeGreaterThanOrEqual(0);
    expect(verdict?.ageMs).toBeLessThan(60_000);
    expect(await metrics.text()).toContain('rule="errors",verdict="pass"');
  });

  test('that is wrong drops the gate once, and again only after it has been right', async () => {
    say = vector('2', '9');
    expect(await bake(QUERY)).toEqual({ errors: 'fail' });
    await bake(QUERY);
    expect(dropped).toMatchObject([
      { job, region, version: NEW, failed: [{ rule: 'errors', reason: 'errors: 9 is above 5' }] },
    ]);
    say = vector('2');
    await bake(QUERY);
    say = vector('8');
    await bake(QUERY);
    expect(dropped).toHaveLength(2);
  });

  test('that is wrong must be so for as long as the rule says, also over a restart', async () => {
    const lasting: Rule = { kind: 'promql', name: 'errors', query: 'q', above: 5, forMs: 60_000 };
    say = vector('9');
    expect(await bake(lasting)).toEqual({ errors: 'too-few' });
    await owner.query(
      `update portcullis_control.bake_verdict
       set state = jsonb_build_object('since', (clock_timestamp() - interval '61 s')::text)`,
    );
    expect(await bake(lasting)).toEqual({ errors: 'fail' });
    expect(dropped).toHaveLength(1);
  });

  test.each<[string, Say, string]>([
    ['finds nothing', vector(), 'no-data'],
    ['is no number', vector('NaN'), 'no-data'],
    ['is infinite', vector('+Inf'), 'fail'],
    [
      'is refused',
      (response) => response.writeHead(400).end('{"status":"error","error":"parse error"}'),
      'unreachable',
    ],
    ['is not answered by a Prometheus', (response) => response.end('<html>'), 'unreachable'],
    ['is sent elsewhere', (response) => response.writeHead(302, { location: '/' }).end(), 'unreachable'],
    ['is cut off', (response) => response.destroy(), 'unreachable'],
    ['has no end', (response) => response.end('x'.repeat(2_000_000)), 'unreachable'],
  ])('that %s', async (_, answer, verdict) => {
    say = answer;
    expect(await bake(QUERY)).toEqual({ errors: verdict });
    expect(dropped).toHaveLength(verdict === 'fail' ? 1 : 0);
  });

  test('that cannot be asked holds and tells people, once an hour at most', async () => {
    const goesAndComes = async (): Promise<void> => {
      say = (response) => response.destroy();
      await bake(QUERY);
      say = vector('1');
      await bake(QUERY);
    };
    const age = (minutes: number) =>
      owner.query(`update portcullis_control.notice set at = at - make_interval(mins => $1)`, [minutes]);
    const told = `${job} is held in ${region}: errors is unreachable`;
    await goesAndComes();
    await goesAndComes();
    await age(55);
    await goesAndComes();
    expect(await notices()).toEqual([told]);
    await age(6);
    await goesAndComes();
    await goesAndComes();
    expect(await notices()).toEqual([told, told]);
    expect(dropped).toEqual([]);
  });
});

describe('absence', () => {
  const RUNS: Rule = { kind: 'absence', name: 'runs', of: 'run', longerThanMs: 60_000 };
  const ago = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();

  test('of runs holds, tells people and goes on record; it never kills', async () => {
    expect(await bake(RUNS)).toEqual({ runs: 'pass' });
    await owner.query(
      `update portcullis_control.bake_verdict set state = jsonb_build_object('watchedSince', $1::text)`,
      [ago(10)],
    );
    expect(await bake(RUNS)).toEqual({ runs: 'no-data' });
    expect(await notices()).toEqual([`${job} is held in ${region}: runs is no-data`]);
    const { rows } = await owner.query(
      `select subject from portcullis_control.audit where action = 'hold-bake'`,
    );
    expect(rows).toContainEqual({ subject: `${job}.${region}` });
    const incidents = await owner.query(
      `select job, cause, title from portcullis_control.incident where state <> 'closed'`,
    );
    expect(incidents.rows).toEqual([
      {
        job,
        cause: 'absence',
        title: `${job} is silent in ${region}`,
      },
    ]);
    const told = await owner.query(
      `select i.cause from portcullis_control.notice n
       join portcullis_control.incident i on i.id = n.details ->> 'incident' where n.job = $1`,
      [job],
    );
    expect(told.rows).toEqual([{ cause: 'absence' }]);
    await seedJournal(owner, { version: NEW, units: ['org-1'], at: ago(0) });
    expect(await bake(RUNS)).toEqual({ runs: 'pass' });
    expect(dropped).toEqual([]);
  });

  test('of scrapes is asked of Prometheus', async () => {
    const scrape: Rule = { kind: 'absence', name: 'scrapes', of: 'scrape', longerThanMs: 90_000 };
    expect(await bake(scrape)).toEqual({ scrapes: 'pass' });
    expect(asked[0]).toContain('portcullis_gate_state');
    say = vector();
    await owner.query(
      `update portcullis_control.bake_verdict set state = jsonb_build_object('watchedSince', $1::text)`,
      [ago(10)],
    );
    expect(await bake(scrape)).toEqual({ scrapes: 'no-data' });
  });
});

describe('outcomes', () => {
  const units = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, at) => `o-${from + at}`);
  const ago = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();
  async function canary(where: string, failing: readonly string[]): Promise<void> {
    await seedJournal(owner, { version: NEW, units: units(0, 20), at: ago(30), region: where });
    await seedJournal(owner, { version: OLD, units: units(20, 200), at: ago(30), region: where });
    const events = failing.map((unit) => ({
      id: `${where}-${unit}`,
      job,
      region: where,
      unit,
      kind: 'login-failed',
      at: ago(5),
    }));
    await keepOutcomes(owner, where, events);
  }

  test('that show the candidate to be worse drop the gate', async () => {
    await canary(region, units(0, 5));
    expect(await bake(LOGINS)).toEqual({ logins: 'fail' });
    expect(dropped).toMatchObject([{ region, version: NEW, failed: [{ rule: 'logins' }] }]);
    await bake(LOGINS);
    expect(dropped).toHaveLength(1);
  });

  test('of several regions show together what none shows alone, and that lasts', async () => {
    const regions = ['r1', 'r2', 'r3'];
    for (const each of regions) {
      flags.open(job, each, { version: NEW, permille: 100 }, { version: OLD, permille: 900 });
      await canary(each, units(0, 3));
    }
    const policy = policyOf([LOGINS], regions);
    await bakeJob(platform, policy);
    const alone = await readVerdicts(owner, { job, version: NEW });
    expect(alone.map((each) => [each.region, each.verdict])).toEqual([
      [EVERYWHERE, 'fail'],
      ...regions.map((each) => [each, 'pass']),
    ]);
    await bakeJob(platform, policy);
    expect(dropped).toMatchObject([
      { version: NEW, failed: [{ rule: 'logins', reason: expect.stringContaining('over 3 regions') }] },
    ]);
    expect(dropped).toHaveLength(1);
  });
});

describe('the bake', () => {
  test('judges nobody where the flag lets nobody act', async () => {
    flags.close(job, region);
    expect(await bake(QUERY)).toEqual({});
    expect(asked).toEqual([]);
  });

  test('does not take a gate for dropped that could not be: it tries again', async () => {
    broken = true;
    say = vector('9');
    expect(await bake(QUERY)).toEqual({});
    broken = false;
    expect(await bake(QUERY)).toEqual({ errors: 'fail' });
    expect(dropped).toHaveLength(1);
  });

  test('by many at once trips once', async () => {
    say = vector('9');
    await Promise.all(Array.from({ length: 4 }, () => bakeJob(platform, policyOf([QUERY]))));
    expect(dropped).toHaveLength(1);
  });

  test('trips for good: gate killed, version quarantined, incident opened, people told', async () => {
    const earlier = new Date(Date.now() - 300_000).toISOString();
    await seedJournal(owner, { version: NEW, units: ['org-1'], at: earlier });
    const trips = createTripwire({ control: owner, ownerOf: () => owner }, metrics, log);
    const real = {
      ...platform,
      dropGate: dropGateBy(() => owner, trips),
      policies: () => Promise.resolve([policyOf([QUERY])]),
    };
    say = vector('9');
    const beat = startBake(real, 5);
    try {
      await until('the gate killed', async () => {
        const { rows } = await owner.query<{ state: string }>(
          'select state from portcullis_region.gate where job = $1',
          [job],
        );
        return rows[0]?.state === 'killed';
      });
      await until('the verdict', async () => (await readVerdicts(owner, { job, version: NEW })).length === 1);
    } finally {
      await beat.stop();
    }
    const { rows } = await owner.query(
      `select (select reason from portcullis_region.quarantine where version = $1) as quarantine,
              (select title from portcullis_control.incident) as incident,
              (select since = (select min(created_at) from portcullis_region.run where version = $1)
               from portcullis_control.incident_region) as "fromItsFirstRun"`,
      [NEW],
    );
    expect(rows).toEqual([
      {
        ...{ quarantine: 'errors: 9 is above 5', incident: `${job} ${NEW} tripped in ${region}: errors` },
        // Else what the version wrote here before would be no part of the incident, and would not be restored.
        fromItsFirstRun: true,
      },
    ]);
    expect(await notices()).toEqual([`${job} ${NEW} tripped in ${region}: errors`]);
  });
});
