import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AdmissionReader } from '../../src/flags/admission-reader.js';
import { clearAdmission } from '../../src/flags/admission-store.js';
import { sourceView } from '../../src/flags/flag-desk.js';
import { PortcullisProvider } from '../../src/flags/provider.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { UnleashSource } from '../../src/flags/unleash-source.js';
import { watchSource } from '../../src/flags/watch-source.js';
import { reconcileGate } from '../../src/gate/permit.js';
import { executeRun } from '../../src/worker/run-loop.js';
import { elect } from '../../src/runs/election.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { createLogger } from '../../src/telemetry/log.js';
import { admitVersions } from '../support/admissions.js';
import { claimEverything, seedAccounts } from '../support/accounts.js';
import { atPoint } from '../support/at-point.js';
import { breakGlassElsewhere } from '../support/break-glass-elsewhere.js';
import { testDatabase } from '../support/database.js';
import { loadTestJob, testPlatform, testPolicy } from '../support/platform.js';
import { portcullis, type Finished } from '../support/portcullis.js';
import { RealUnleash } from '../support/real-unleash.js';
import { until } from '../support/until.js';
import { adminHome } from '../support/people.js';

/**
 * A real Unleash server. It refuses a `+` in names, which is why a version's digest stands behind `_`.
 */

const database = await testDatabase();
const JOB = 'claims';
const REGION = 'eu-west-1';
const FLAG = `${JOB}.${REGION}`;
const VERSION = '1.0.0_00000000';
const POLL_MS = 500;
/** What a busy machine may take on top of a poll. */
const MARGIN_MS = 10_000;
const MAX_AGE_MS = 5_000;
/** The server itself goes on taking a revoked token for up to a minute. */
const REVOKED_MS = 150_000;
const SETUP_MS = 900_000;

let unleash: RealUnleash;
let provider: PortcullisProvider;
/** Undone in the end, however far the beginning came. */
const undo: (() => unknown)[] = [];
let token = '';
let source: UnleashSource;
const logged: string[] = [];

beforeAll(async () => {
  unleash = await RealUnleash.open();
  undo.push(() => unleash.close());
  token = await unleash.issueToken();
  await unleash.create(FLAG, [{ name: VERSION, weight: 1000 }]);
  await unleash.create(`${JOB}.us-east-1`, [
    { name: VERSION, weight: 250 },
    { name: 'hold', weight: 750 },
  ]);
  for (const region of [REGION, 'us-east-1'])
    await admitVersions(database.owner, { job: JOB, region }, [VERSION]);
  source = new UnleashSource({
    admissions: new AdmissionReader(database.owner),
    url: unleash.url,
    token: () => token,
    pollMs: POLL_MS,
    retryMs: 200,
  });
  provider = new PortcullisProvider(source, { maxAgeMs: MAX_AGE_MS });
  undo.push(() => provider.onClose());
  await provider.initialize();
  const unwatch = watchSource(source, {
    log: createLogger({
      level: 'info',
      to: { write: (line) => void logged.push((JSON.parse(line) as { code: string }).code) },
    }),
    metrics: { flagSourceProblem: () => undefined },
    maxAgeMs: MAX_AGE_MS,
    advice: () => 'see the runbook',
  });
  undo.push(unwatch);
  const policy = `job: ${JOB}\nschedule: '0 0 1 1 *'\nregions: [${REGION}, us-east-1, ap-south-1]\n`;
  await applyPolicies(database.owner, [parsePolicyFile(policy, 'claims.yaml')], 'test');
}, SETUP_MS);

afterAll(async () => {
  for (const step of undo.reverse()) await step();
}, 60_000);

const opened = (): Promise<unknown> => until('the flag is open', () => provider.look(FLAG).open);

let home: string | undefined;

async function cli(...args: readonly string[]): Promise<Finished> {
  home ??= await adminHome(database.owner);
  const env = {
    ...{ PORTCULLIS_DATABASE_URL: database.url, PORTCULLIS_HOME: home },
    ...{ PORTCULLIS_FLAG_SOURCE: 'unleash', PORTCULLIS_UNLEASH_URL: unleash.url },
    ...{ PORTCULLIS_UNLEASH_TOKEN: token },
  };
  return portcullis(args, { env }).finished;
}

describe('a real Unleash server', () => {
  test('has flags whose strategies decide, and a variant hold that holds', async () => {
    await opened();
    const east = provider.look(`${JOB}.us-east-1`);
    if (!east.open) throw new Error(east.reason);
    expect(east.definition.variants).toEqual([expect.objectContaining({ version: VERSION, permille: 250 })]);
    const units = Array.from({ length: 1_000 }, (_, at) => `org-${at}`);
    const admitted = [...units].filter((unit) => provider.admit(east.definition, VERSION, [unit]).has(unit));
    expect(admitted.length).toBeGreaterThan(180);
    expect(admitted.length).toBeLessThan(320);
    expect(provider.look(`${JOB}.ap-south-1`)).toMatchObject({ open: false, code: 'flag-unknown' });
  });

  test('lets a version act within its admission, however far it is turned up there', async () => {
    const name = `${JOB}.eu-central-1`;
    const at = { job: JOB, region: 'eu-central-1' };
    const units = Array.from({ length: 1_000 }, (_, each) => `org-${each}`);
    const acting = (): string[] => {
      const answer = provider.look(name);
      return answer.open ? [...provider.admit(answer.definition, VERSION, units)] : [];
    };
    await unleash.create(name, [{ name: VERSION, weight: 1000 }]);
    await until(`${name} is heard of`, () => source.repository.find(name) !== undefined);
    expect(provider.look(name)).toMatchObject({
      code: 'version-not-admitted',
      reason: `${name} is on, but ${VERSION} is admitted to 0%, the flag asks for 100%`,
    });
    await admitVersions(database.owner, at, [VERSION], 100);
    await until('its admission is heard of', () => acting().length > 0);
    const tenth = acting();
    expect(tenth.length).toBeGreaterThan(50);
    expect(tenth.length).toBeLessThan(150);
    await admitVersions(database.owner, at, [VERSION], 200);
    await until('its admission has grown', () => acting().length > tenth.length);
    expect(acting()).toEqual(expect.arrayContaining(tenth));
    const cleared = { job: JOB, version: VERSION, reason: 'aborted', by: 'ann' };
    await inTransaction(database.owner, (client) => clearAdmission(client, cleared));
    await until('its admission is gone', () => acting().length === 0);
    for (const region of [REGION, 'us-east-1'])
      await admitVersions(database.owner, { job: JOB, region }, [VERSION]);
    await opened();
  });

  test('gives a version no unit beyond its admission where an import turns it up', async () => {
    const name = `${JOB}.sa-east-1`;
    const units = Array.from({ length: 1_000 }, (_, each) => `org-${each}`);
    const asked = (): number | undefined => {
      const answer = provider.look(name);
      return answer.open ? answer.definition.admission?.asked?.get(VERSION) : undefined;
    };
    const acting = (): string[] => {
      const answer = provider.look(name);
      return answer.open ? [...provider.admit(answer.definition, VERSION, units)] : [];
    };
    await unleash.create(name, [
      { name: VERSION, weight: 100 },
      { name: 'hold', weight: 900 },
    ]);
    await admitVersions(database.owner, { job: JOB, region: 'sa-east-1' }, [VERSION], 100);
    await until('a tenth acts', () => acting().length > 0);
    const tenth = acting();
    const file = await unleash.exported(name);
    const raised = file.replace('"weight":100,', '"weight":1000,').replace('"weight":900,', '"weight":0,');
    if (raised === file) throw new Error(`no weights to raise: ${file}`);
    await unleash.imported(raised);
    await until('the import is heard of', () => asked() === 1000);
    expect(acting()).toEqual(tenth);
  });

  test('takes a version as it is named as a variant, and refuses the old spelling with a +', async () => {
    await expect(unleash.addStrategy(FLAG, [{ name: '1.0.0+00000000', weight: 1000 }])).rejects.toThrow(
      / 400: /,
    );
  });

  test('a flag turned off there in the middle of a run stops it within a poll', async () => {
    await opened();
    const base = testPlatform(database);
    const platform = { ...base, flags: provider };
    const loaded = await loadTestJob(base, claimEverything(JOB));
    const job = { ...loaded, version: VERSION };
    await seedAccounts(database.owner, REGION, 200, 20);
    await reconcileGate(platform.region, JOB, REGION, () => provider.look(FLAG), 30_000);
    let offAt = new Date(0);
    atPoint('apply.committed', 20, async () => {
      await unleash.turn(FLAG, 'off');
      const { rows } = await database.owner.query<{ now: Date }>('select clock_timestamp() as now');
      offAt = rows[0]?.now ?? offAt;
    });
    const policy = testPolicy(JOB, [REGION], { apply: { lanes: 1, batch: 1, firstBatches: [] } });
    const election = await elect(platform.region, {
      ...{ job: JOB, version: VERSION, region: REGION, trigger: 'manual' as const },
      ...{ worker: platform.worker, leaseMs: policy.leaseMs },
    });
    if (!election.elected) throw new Error(election.why);
    const signal = new AbortController().signal;
    const report = await executeRun(platform, job, policy, election.run, 'planning', { signal });
    expect(report).toMatchObject({ status: 'stopped', reason: `${FLAG} is off` });
    const { rows } = await database.owner.query<{ last: Date; written: number }>(
      'select max(applied_at) as last, count(*) as written from portcullis_region.batch where run = $1',
      [election.run.id],
    );
    expect(rows[0]?.written).toBeLessThan(4_000);
    expect((rows[0]?.last.getTime() ?? Infinity) - offAt.getTime()).toBeLessThan(POLL_MS + MARGIN_MS);
    await base.planner.close();
  });

  test('is what every display shows: off there is off here, whatever the embedded table says', async () => {
    await until('the flag is off', () => !provider.look(FLAG).open);
    const list = JSON.parse((await cli('flags', 'list', '--json')).stdout) as {
      flags: { name: string; enabled: boolean; changedBy: string | null }[];
      source: { url: string; ageMs: number; problem: unknown };
    };
    expect(list.source).toMatchObject({ kind: 'unleash', url: unleash.url, problem: null });
    expect(list.flags).toMatchObject([
      { name: FLAG, enabled: false, changedBy: null },
      { name: `${JOB}.us-east-1`, enabled: true, variants: [{ version: VERSION, permille: 250 }] },
    ]);
    const { stdout } = await cli('status');
    expect(stdout).toContain(`Flags: Unleash at ${unleash.url}, last heard `);
    expect(stdout).toMatch(/^eu-west-1 +off /m);
    expect(stdout).toMatch(/^ap-south-1 +none /m);
  });

  test('is not set from here: the refusal says where, and a kill says that its flag is as it was', async () => {
    const set = await cli('flags', 'set', JOB, '--region', 'us-east-1', '--off', '--reason', 'enough');
    expect(set).toMatchObject({ code: 1, stdout: '' });
    expect(set.stderr).toContain('FLAGS_ELSEWHERE');
    expect(set.stderr).toContain(unleash.url);
    expect(provider.look(`${JOB}.us-east-1`).open).toBe(true);
    const killed = await cli('kill', JOB, '--region', 'us-east-1', '--drill', '--reason', 'practice');
    expect(killed.code).toBe(0);
    expect(killed.stdout.replaceAll('\n', ' ')).toContain(
      `were not changed: switch ${JOB}.us-east-1 off there`,
    );
  });

  test('turns a version up as far as a break-glass that two people gave, for as long as it is in force', async () => {
    const [job, region] = ['glass', 'ca-central-1'];
    await breakGlassElsewhere({
      ...{ database, job, region, version: VERSION, provider },
      raise: () => unleash.create(`${job}.${region}`, [{ name: VERSION, weight: 1000 }]),
    });
  });

  test('that is gone makes flags stale, is logged once, and is heard again when it is back', async () => {
    await unleash.turn(FLAG, 'on');
    await opened();
    logged.length = 0;
    await unleash.stop();
    await until('the flags are stale', () => {
      const answer = provider.look(FLAG);
      return !answer.open && answer.code === 'flag-stale';
    });
    await until('that is logged', () => logged.includes('flag-source-stale'));
    const away = await cli('status');
    expect(away.stdout.replaceAll('\n', ' ')).toMatch(
      /Flags: Unleash at \S+ does not answer: .*; since 20\S+Z, never heard/,
    );
    expect(away.stdout).toMatch(/^eu-west-1 +unknown /m);
    await unleash.start();
    await opened();
    await until('that is logged too', () => logged.includes('flag-source-heard'));
    expect(logged).toEqual(['flag-source-unreachable', 'flag-source-stale', 'flag-source-heard']);
  }, 400_000);

  test('that refuses a revoked token closes every flag, is logged once, and takes a new one without a restart', async () => {
    logged.length = 0;
    await unleash.revokeToken(token);
    await until(
      'the token is refused',
      () => sourceView(source, unleash.url).problem?.code === 'flag-unauthorised',
      REVOKED_MS,
    );
    expect(provider.look(FLAG)).toMatchObject({ open: false, code: 'flag-unauthorised' });
    const refused = await cli('flags', 'list');
    expect(refused.stdout.replaceAll('\n', ' ')).toMatch(/does not answer: .*401/);
    const { stdout } = await cli('doctor');
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain('set PORTCULLIS_UNLEASH_TOKEN to a backend token');
    token = await unleash.issueToken();
    await opened();
    expect(logged.filter((code) => code !== 'flag-source-unreachable')).toEqual([
      'flag-source-unauthorised',
      'flag-source-heard',
    ]);
  }, 400_000);
});
