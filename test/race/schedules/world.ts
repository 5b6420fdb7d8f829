import type pg from 'pg';
import type { Principal } from '../../../src/access/roles.js';
import { flagName, type FlagAnswer } from '../../../src/flags/definition.js';
import type { Policy } from '../../../src/flags/policy.js';
import { parsePolicyFile } from '../../../src/flags/policy.js';
import { applyPolicies, requirePolicy } from '../../../src/flags/policy-store.js';
import { createTripwire } from '../../../src/containment/tripwire.js';
import type { AdmittedUnits } from '../../../src/sdk/contract.js';
import { openPlannerDatabase, type PlannerPool } from '../../../src/worker/planner-database.js';
import type { Platform } from '../../../src/worker/platform.js';
import type { LoadedJob } from '../../../src/worker/registry.js';
import { openPool } from '../../../src/postgres/pool.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { claimEverything, seedAccounts } from '../../support/accounts.js';
import type { TestDatabase } from '../../support/database.js';
import { FAR_SLOT } from '../../support/far-slot.js';
import { loadTestJob, testPlatform } from '../../support/platform.js';
import { bounded } from './bounded.js';
import { confirmAtFirst } from './history.js';
import type { LockWaits } from './lock-waits.js';
import { Process, rewritten, type Rewrite } from './process.js';
import {
  ACCOUNTS_EACH,
  ORGANISATIONS,
  VERSIONS,
  WORKERS,
  type Files,
  type Name,
  type Schedule,
} from './schedule.js';
import { person } from '../../support/people.js';
import type { Variant } from '../../../src/flags/variant.js';

/** What a plant does to the product; see plants.ts. */
export interface Twist {
  /** To what a worker's process says to the database. */
  readonly worker?: Rewrite;
  /** To what an operator's command says to it. */
  readonly operator?: Rewrite;
  /** To the policy as workers read it; what is checked is the policy as it was written. */
  readonly policy?: (policy: Policy) => Policy;
  /** To which units a worker takes for admitted. */
  readonly admit?: (units: Iterable<string>) => AdmittedUnits;
}

/** By their names people's and operators' connections are known; a worker's change theirs. */
const OF_STAGE = '(application_name like $1 or pid = any($2)) and datname = current_database()';

/** How long a stage's pools may take to end. */
const CLOSE_MS = 60_000;

/** Where schedules are played one after the other: pools that are kept, and workers that are replaced when they crash. */
export class Stage {
  readonly owner: pg.Pool;
  /** What operators' commands work with. */
  readonly operator: pg.Pool;
  private readonly planner: PlannerPool;
  readonly base: Omit<Platform, 'worker' | 'region' | 'flags'>;
  readonly processes: Process[] = [];
  private born = 0;
  /** What is under way on it, for whoever finds that it hangs. */
  doing = 'nothing';

  constructor(
    private readonly database: TestDatabase,
    readonly name: string,
    readonly loaded: LoadedJob,
    readonly twist: Twist,
    private readonly waits: LockWaits,
  ) {
    this.owner = openPool(database.url, { name: `${name} people`, max: 10, statementTimeoutMs: 30_000 });
    this.operator = rewritten(openPool(database.url, { name: `${name} operator`, max: 20 }), twist.operator);
    this.planner = openPlannerDatabase(database.plannerUrl, 2);
    const log = createLogger({ level: 'silent' });
    const metrics = createMetrics();
    this.base = {
      planner: this.planner,
      clients: () => ({}),
      log,
      metrics,
      trips: createTripwire({ control: this.operator, ownerOf: () => this.operator }, metrics, log),
    };
    for (let worker = 0; worker < WORKERS; worker += 1) this.replace(worker);
  }

  /** Starts a process where there is none, or where one has crashed. */
  replace(worker: number): void {
    this.born += 1;
    const name = `${this.name} w${worker} #${this.born}`;
    this.processes[worker] = new Process(name, this.database.workerUrl, this.base, this.twist);
  }

  /** What its connections to the database are at, where they are at something. */
  async busy(): Promise<string[]> {
    const { rows } = await this.owner.query<{ what: string }>(
      `select concat_ws(' ', application_name, pid, pg_blocking_pids(pid), state, wait_event, left(query, 90)) as what
       from pg_stat_activity
       where state <> 'idle' and pid <> pg_backend_pid() and ${OF_STAGE}`,
      this.backends,
    );
    return rows.map(({ what }) => what);
  }

  /** Which of its connections wait for a lock: a name for each wait. */
  async waiting(): Promise<string[]> {
    const [, pids] = this.backends;
    const mine = `portcullis ${this.name} `;
    return (await this.waits.now())
      .filter(({ pid, name }) => name.startsWith(mine) || pids.includes(pid))
      .map(({ wait }) => wait);
  }

  private get backends(): [string, number[]] {
    return [`portcullis ${this.name} %`, this.processes.flatMap((process) => [...process.backends])];
  }

  /** Throws where something would not end; all the same, everything has been told to. */
  async close(): Promise<void> {
    const processes = await Promise.allSettled(this.processes.map((process) => process.close()));
    const pools = await Promise.allSettled(
      [this.planner.close(), this.operator.end(), this.owner.end()].map((end) =>
        bounded(CLOSE_MS, () => `the end of ${this.name}`, end),
      ),
    );
    for (const end of [...processes, ...pools]) if (end.status === 'rejected') throw end.reason;
  }
}

/** The job that every schedule's is a copy of, under another name. */
export async function loadJob(database: TestDatabase): Promise<LoadedJob> {
  const platform = testPlatform(database, 'loader');
  const job = await loadTestJob(platform, claimEverything('claims'));
  await platform.planner.close();
  return job;
}

export const PRINCIPALS: Readonly<Record<Name, (region: string) => Principal>> = {
  ann: () => person('ann', 'operator'),
  bob: () => person('bob', 'approver'),
  cat: () => person('cat', 'admin'),
  dan: (region) => person('dan', 'approver', [region]),
  eve: () => person('eve', 'viewer'),
};

/** Holds of every plan that is judged on the directory that it was made from, whatever people do meanwhile. */
export const AS_PLANNED = {
  kind: 'invariant',
  name: 'as-planned',
  timeout: '30s',
  sql: `select p.key from proposed p left join account a on a.id = p.key
        where (a.email, a.state) is distinct from (p.before ->> 'email', p.before ->> 'state')`,
};

/** Who puts a schedule's policy in force. */
export const APPLIED_BY = 'cat';

/** A small world of a schedule's own: a job, one or two regions, organisations, accounts and flags. */
export class World {
  readonly job: string;
  readonly regions: readonly string[];
  readonly versions: readonly LoadedJob[];
  /** What each flag is now, and what each was at each revision. */
  private readonly flags = new Map<string, FlagAnswer>();
  readonly given = new Map<string, readonly Variant[]>();
  private revision = 0;

  constructor(
    readonly stage: Stage,
    readonly schedule: Schedule,
  ) {
    this.job = `claims-${schedule.seed}`;
    this.regions = Array.from({ length: schedule.regions }, (_, n) => `s${schedule.seed}-${n}`);
    const { loaded } = stage;
    this.versions = Array.from({ length: VERSIONS }, (_, n) => ({
      ...loaded,
      definition: { ...loaded.definition, name: this.job },
      version: `1.${n}.0+0000000${n}`,
    }));
  }

  async make(): Promise<void> {
    const { owner, name } = this.stage;
    await confirmAtFirst(owner, name);
    for (const process of this.stage.processes) process.policy = undefined;
    await applyPolicies(owner, [parsePolicyFile(this.policyText('same'), 'claims.yaml')], APPLIED_BY);
    for (const region of this.regions) {
      await seedAccounts(owner, region, ORGANISATIONS, ACCOUNTS_EACH);
    }
  }

  /** Takes its policy and flags out, so that the next starts need not read it; its history stays. */
  async clear(): Promise<void> {
    const { owner } = this.stage;
    await owner.query('delete from portcullis_control.policy where job = $1', [this.job]);
    await owner.query('delete from portcullis_control.flag where job = $1', [this.job]);
  }

  /** What a policy file says of its job; `same`: what is in force. JSON is YAML too. */
  policyText(files: Files): string {
    const { lanes, batch, cap, seed } = this.schedule;
    const inForce = {
      job: this.job,
      schedule: FAR_SLOT,
      regions: this.regions,
      apply: { lanes, batch, firstBatches: [1] },
      guard: {
        caps: cap === undefined ? [] : [{ kind: 'claim', perRun: cap }],
        rules: [{ kind: 'alert', name: 'pages' }, ...(seed % 3 === 0 ? [AS_PLANNED] : [])],
      },
    };
    const other = {
      same: {},
      changed: { apply: { lanes, batch: batch + 5, firstBatches: [1] }, guard: {} },
      moved: { regions: ['elsewhere'] },
      faulty: { regions: 'everywhere' },
    }[files];
    return JSON.stringify({ ...inForce, ...other });
  }

  /** The policy in force, as a process reads it. */
  async policyInForce(): Promise<Policy> {
    const policy = await requirePolicy(this.stage.owner, this.job);
    return this.stage.twist.policy?.(policy) ?? policy;
  }

  region(n: number): string {
    return this.regions[n] ?? '';
  }

  version(n: number): LoadedJob {
    const version = this.versions[n];
    if (!version) throw new Error(`there is no version ${n}`);
    return version;
  }

  process(n: number): Process {
    const process = this.stage.processes[n];
    if (!process) throw new Error(`there is no worker ${n}`);
    return process;
  }

  /** Changes a flag, for whoever hears of it. */
  setFlag(region: string, shares: readonly (readonly [number, number])[]): void {
    this.revision += 1;
    const { revision, job } = this;
    const variants = shares.map(([n, permille]) => ({ version: this.version(n).version, permille }));
    this.given.set(`${region} ${revision}`, variants);
    const name = flagName(job, region);
    const answer: FlagAnswer =
      variants.length === 0
        ? { open: false, code: 'flag-off', reason: 'off', revision }
        : { open: true, ageMs: 0, definition: { name, job, region, enabled: true, variants, revision } };
    this.flags.set(region, answer);
  }

  flag(region: string): FlagAnswer {
    return this.flags.get(region) ?? { open: false, code: 'flag-unknown', reason: 'never set' };
  }
}
