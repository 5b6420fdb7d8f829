import type pg from 'pg';
import { principalOfToken, type TokenHolder } from '../../../src/access/tokens.js';
import { createTripwire, type Tripwire } from '../../../src/containment/tripwire.js';
import { dropGateBy } from '../../../src/containment/drop-gate.js';
import { EventFeed } from '../../../src/events/follow.js';
import { EmbeddedSource } from '../../../src/flags/embedded-source.js';
import { embeddedDesk } from '../../../src/flags/flag-desk.js';
import type { Policy } from '../../../src/flags/policy.js';
import { parsePolicyFile } from '../../../src/flags/policy.js';
import { applyPolicies } from '../../../src/flags/policy-store.js';
import { PortcullisProvider } from '../../../src/flags/provider.js';
import type { FlagSource } from '../../../src/flags/source.js';
import { jobInfos, type OperationContext } from '../../../src/operations/context.js';
import { openPool } from '../../../src/postgres/pool.js';
import type { RegionDatabases } from '../../../src/regions/region-database.js';
import { rolloutSources } from '../../../src/regions/rollout-sources.js';
import { announceVersions } from '../../../src/rollout/announce.js';
import type { AdvancePorts } from '../../../src/rollout/advance.js';
import { stopVersion } from '../../../src/rollout/stop-version.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { openPlannerDatabase, type PlannerPool } from '../../../src/worker/planner-database.js';
import type { Platform } from '../../../src/worker/platform.js';
import type { LoadedJob } from '../../../src/worker/registry.js';
import { claimEverything, seedAccounts } from '../../support/accounts.js';
import type { TestDatabase } from '../../support/database.js';
import { FAR_SLOT } from '../../support/far-slot.js';
import { oneDatabase } from '../../support/one-database.js';
import { tokenOf } from '../../support/people.js';
import { loadTestJob, testPlatform } from '../../support/platform.js';
import { until } from '../../support/until.js';
import { rewritten, type Rewrite } from '../schedules/process.js';
import { note } from './facts.js';
import { MidRun } from './mid-run.js';
import { REGIONS, UNITS, VERSIONS, type Alias, type Files, type Human, type Schedule } from './schedule.js';

/** What a plant does to the product; see plants.ts. */
export interface Twist {
  /** To what the control plane, and whoever hears flags, says to the database. */
  readonly control?: Rewrite;
  /** To what a worker says to it. */
  readonly worker?: Rewrite;
  /** To where flags come from. */
  readonly source?: (source: FlagSource) => FlagSource;
  /** To whom a token is taken for. */
  readonly caller?: (holder: TokenHolder) => TokenHolder;
}

/** What schedules are played on, one after the other: the product's own parts on one database. */
export class Stage {
  readonly owner: pg.Pool;
  readonly control: pg.Pool;
  readonly regionDatabases: RegionDatabases;
  readonly midRun = new MidRun();
  readonly trips: Tripwire;
  private readonly log = createLogger({ level: 'silent' });
  private readonly metrics = createMetrics();
  private readonly region: pg.Pool;
  private readonly planner: PlannerPool;
  private readonly source: FlagSource;
  private readonly provider: PortcullisProvider;

  constructor(
    database: TestDatabase,
    readonly loaded: LoadedJob,
    readonly twist: Twist,
  ) {
    const { owner } = database;
    this.owner = owner;
    this.control = rewritten(openPool(database.url, { name: 'adversary', max: 10 }), twist.control);
    this.region = rewritten(openPool(database.workerUrl, { name: 'adversary worker', max: 5 }), twist.worker);
    this.planner = openPlannerDatabase(database.plannerUrl, 2);
    const { control, region: worker, planner } = this;
    this.regionDatabases = oneDatabase({
      ...{ name: 'control', owner: control, kills: control, worker, planner, open: true },
      job: () => Promise.reject(new Error('this world asks for no job')),
      prepare: () => Promise.resolve(),
    });
    this.trips = createTripwire({ control, ownerOf: () => control }, this.metrics, this.log);
    const source = new EmbeddedSource(control);
    this.source = twist.source?.(source) ?? source;
    this.provider = new PortcullisProvider(this.source);
  }

  async open(): Promise<void> {
    await this.provider.initialize();
  }

  get platform(): Platform {
    return {
      ...{ worker: 'adversary', flags: this.provider, clients: () => ({}) },
      ...{
        log: this.log,
        metrics: this.metrics,
        trips: this.trips,
        region: this.region,
        planner: this.planner,
      },
    };
  }

  /** What the API's operations work with. */
  context(installed: LoadedJob, policy: Policy): OperationContext {
    const { control, regionDatabases, metrics, log, provider } = this;
    return {
      feed: new EventFeed(() => []),
      files: [],
      uploadBytes: 0,
      ...{
        control,
        regionDatabases,
        metrics,
        log,
        receivers: 1,
        dropGate: dropGateBy(() => control, this.trips),
      },
      flags: {
        ...embeddedDesk(control, this.source),
        look: (name) => provider.look(name),
        evaluate: (name, unit) => provider.evaluateUnit(name, unit),
      },
      jobs: () => jobInfos([installed], [policy]),
      installed: () => [installed],
      readiness: () => Promise.resolve([]),
      examine: () => Promise.resolve([]),
    };
  }

  /** What moving rollouts takes. */
  advancing(installed: LoadedJob): AdvancePorts {
    const { control, regionDatabases, trips } = this;
    return {
      ...rolloutSources(control, regionDatabases, [installed]),
      trip: (fault) => stopVersion({ control, ownerOf: () => control }, trips, fault),
    };
  }

  /** Waits until the flags have been heard that were in the database when this was called. */
  async heard(): Promise<void> {
    const asked = performance.now();
    await this.owner.query(`select pg_notify('portcullis_flag', 'heard')`);
    await until('the flags are heard', () => this.source.state().heardAgeMs < performance.now() - asked);
  }

  async close(): Promise<void> {
    await this.midRun.proceed('all');
    await this.provider.onClose();
    await Promise.all([this.planner.close(), this.control.end(), this.region.end()]);
  }
}

/** The job that every schedule's is a copy of, under another name. */
export async function loadJob(database: TestDatabase): Promise<LoadedJob> {
  const platform = testPlatform(database, 'loader');
  const job = await loadTestJob(platform, claimEverything('claims'));
  await platform.planner.close();
  return job;
}

/** A token in somebody's hands. */
export interface Held {
  readonly secret: string;
  readonly human: Human;
  readonly machine: boolean;
}

/** A small world of a schedule's own: a job in three versions, two regions, three humans and five tokens. */
export class World {
  readonly job: string;
  readonly regions: readonly string[];
  readonly versions: readonly LoadedJob[];
  readonly policy: Policy;
  readonly context: OperationContext;
  /** Of Ann and Bob; Bob's second token is for the first region. */
  ann!: Held;
  bob!: Held;
  bobHere: Held | undefined;
  readonly eves: Held[] = [];

  constructor(
    readonly stage: Stage,
    readonly schedule: Schedule,
  ) {
    const { seed } = schedule;
    this.job = `claims-${seed}`;
    this.regions = Array.from({ length: REGIONS }, (_, n) => `s${seed}-${n}`);
    const { loaded } = stage;
    this.versions = Array.from({ length: VERSIONS }, (_, n) => ({
      ...loaded,
      definition: { ...loaded.definition, name: this.job },
      version: `1.${n}.0_0000000${n}`,
    }));
    this.policy = parsePolicyFile(this.policyText('same'), 'claims.yaml').policy;
    this.context = stage.context(this.version(0), this.policy);
  }

  async make(): Promise<void> {
    const { owner } = this.stage;
    await applyPolicies(owner, [parsePolicyFile(this.policyText('same'), 'claims.yaml')], 'test');
    for (const region of this.regions) {
      await seedAccounts(owner, region, UNITS, 1);
      await note(owner, 'grown', { region, units: UNITS });
    }
    await this.announce();
    const token = async (human: Human, role: 'operator' | 'admin', region?: string): Promise<Held> => {
      const name = this.named(human);
      const regions = region === undefined ? undefined : [region];
      const { token: secret } = await tokenOf(owner, { name, role, regions });
      return { secret, human, machine: false };
    };
    const { admin } = this.schedule;
    this.bob = await token('bob', 'admin');
    this.ann = await token('ann', 'operator');
    this.eves.push(await token('eve', admin ? 'admin' : 'operator'));
    await owner.query(
      `update portcullis_control.person set introduced_by = array(select id from portcullis_control.person where name = $1)
       where name = any($2)`,
      [this.named('bob'), [this.named('ann'), this.named('eve')]],
    );
  }

  /** Takes everything out that the next schedule would have to look at. */
  async clear(): Promise<void> {
    const { job, stage } = this;
    const of = (table: string): string => `delete from portcullis_${table} where job = $1`;
    for (const sql of [
      ...['control.policy', 'control.flag', 'control.admission', 'control.worker_version'].map(of),
      ...['control.version', 'region.version_epoch', 'region.gate'].map(of),
      `update portcullis_control.rollout
       set status = 'aborted', ended_at = clock_timestamp(), ended_by = 'test', end_reason = 'over'
       where job = $1 and ended_at is null`,
      `update portcullis_control.break_glass set expires_at = granted_at where job = $1 and ended_at is null`,
    ])
      await stage.owner.query(sql, [job]);
    for (const sql of [
      `delete from portcullis_control.rollout_approval
       where request in (select id from portcullis_control.approval where decision is null)`,
      'delete from portcullis_control.approval where decision is null',
      'update portcullis_control.api_token set revoked_at = clock_timestamp() where revoked_at is null',
    ])
      await stage.owner.query(sql);
  }

  /** Workers that have every version say so, as they do again and again. */
  async announce(): Promise<void> {
    const { job, regions } = this;
    await announceVersions(
      this.stage.owner,
      `worker-${job}`,
      this.versions.map(({ version }) => ({ job, version, regions })),
    );
  }

  /** What a policy file says of its job; `same`: what is in force at first. JSON is YAML too. */
  policyText(files: Files): string {
    const [here = '', there = ''] = this.regions;
    const bake = { runs: 1, changes: 0, time: '0s' };
    const canary = { name: 'canary', regions: [here], steps: ['20%', '100%'], bake };
    const rest = { name: 'rest', regions: [there], steps: ['50%', '100%'], bake, approvals: 1 };
    const waves = {
      same: [canary, rest],
      'no approvals': [canary, { ...rest, approvals: 0 }],
      'one step': [{ ...canary, steps: ['100%'] }, rest],
      'one region': [canary],
    }[files];
    return JSON.stringify({
      ...{ job: this.job, schedule: FAR_SLOT, regions: waves.flatMap(({ regions }) => regions) },
      ...{ apply: { lanes: 1, batch: 4, firstBatches: [1] }, rollout: { waves } },
    });
  }

  /** A person's or a token's name in this schedule. */
  named(alias: Alias | Human): string {
    return `${alias}-${this.schedule.seed}`;
  }

  region(n: number): string {
    return this.regions[n] ?? '';
  }

  version(n: number): LoadedJob {
    const version = this.versions[n];
    if (!version) throw new Error(`there is no version ${n}`);
    return version;
  }

  /** Whose token that is, as the API finds out; undefined: nobody's any more. */
  async callerOf({ secret }: Held): Promise<TokenHolder | undefined> {
    const holder = await principalOfToken(this.stage.control, secret);
    return holder && (this.stage.twist.caller?.(holder) ?? holder);
  }
}
