import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { flagName } from '../../../src/flags/definition.js';
import { PortcullisError } from '../../../src/kernel/errors.js';
import { endKilledRuns, killGate } from '../../../src/containment/kill-gate.js';
import type { KillOrder } from '../../../src/containment/kill-order.js';
import { killJob } from '../../../src/containment/kill.js';
import { moveKills, unrecordedKills } from '../../../src/containment/unrecorded-kill.js';
import { confirmDatabase } from '../../../src/gate/database.js';
import { reconcileGate } from '../../../src/gate/permit.js';
import { askLift, askRearm, decideRearm } from '../../../src/containment/rearm-approval.js';
import { executeRun } from '../../../src/worker/run-loop.js';
import { elect, electMissed, type Run } from '../../../src/runs/election.js';
import { electRestore } from '../../../src/runs/election.js';
import { takeOver } from '../../../src/runs/lease.js';
import { isUnreachable } from '../../../src/postgres/pool.js';
import { bounded } from './bounded.js';
import { sendAlert, type SentAlert } from './alerts.js';
import { acknowledge, failOver } from './history.js';
import { startWith } from './restart.js';
import type { Edit, Points, Schedule, Step } from './schedule.js';
import { PRINCIPALS, World, type Stage } from './world.js';
import type { Process } from './process.js';

/** What a schedule has led to, as whoever played it saw it: to be compared with what the database remembers. */
export interface Played {
  readonly world: World;
  /** Rows as edits have left them: `id row`. */
  readonly edited: string[];
  /** Who asked for what, and who decided it with success. */
  readonly asked: { readonly id: string; readonly by: string; readonly region: string | undefined }[];
  readonly approved: { readonly id: string; readonly by: string }[];
  /** Subjects of kills that were acknowledged as being on the record. */
  readonly killed: string[];
  /** Alerts in the order in which they were sent, with what became of each. */
  readonly alerts: SentAlert[];
  /** Starts that said something else of the policy files than there was to say. */
  readonly misled: string[];
  /** What went wrong in a way that nothing explains. */
  readonly astray: string[];
}

type Does<K extends Step['do']> = (step: Extract<Step, { do: K }>) => Promise<unknown>;

/**
 * Plays a schedule to its end, and lets everything that is under way come to its own. Throws `Hung`, naming the
 * step, where it does not.
 */
export async function play(stage: Stage, schedule: Schedule): Promise<Played> {
  const world = new World(stage, schedule);
  const player = new Player(world);
  const bound = (work: Promise<void>): Promise<void> => bounded(STEP_MS, () => stage.doing, work);
  stage.doing = 'making its world';
  await bound(world.make());
  for (const [at, step] of schedule.steps.entries()) {
    stage.doing = `step ${at + 1} (${step.do})`;
    await bound(player.perform(step));
  }
  stage.doing = 'the end, where everything is let go,';
  await bound(player.end());
  return player.played;
}

/** How long a step may take before it is looked whether it waits for another; the next looks come later and later. */
const LOOK_MS = 5;
const LOOK_AGAIN_MS = 20;
/** How long it may take while the only waits there are have been there before it. */
const OLD_WAITS_MS = 40;
/** How long any step may take, on a machine that is busy with a lot else. The longest are kills: their grace. */
const STEP_MS = 60_000;
/**
 * An impatient kill's grace. Not shorter: a kill takes whoever has the lock alone and is idle for that long for a
 * zombie, another kill of this process too where the process is as slow as that between two statements.
 */
const IMPATIENT_MS = 250;

/** Longer than any schedule takes: only steps end them. */
const LEASE_MS = 20_000;
const PERMIT_MS = 30_000;

/** In how long a permit lapses that is made to: longer than it takes to commit that. */
const LAPSES_MS = 100;

class Player {
  readonly played: Played;
  private readonly pending = new Set<Promise<unknown>>();

  constructor(private readonly world: World) {
    this.played = {
      ...{ world, edited: [], asked: [], approved: [], killed: [], alerts: [], misled: [], astray: [] },
    };
  }

  async perform(step: Step): Promise<void> {
    const before = this.pending.size > 0 ? await this.world.stage.waiting() : [];
    const doing = (this.does[step.do] as Does<Step['do']>)(step).catch((error: unknown) => {
      if (!(error instanceof PortcullisError) && !isDeadlock(error)) this.astray(step.do, error);
    });
    this.pending.add(doing);
    void doing.then(() => this.pending.delete(doing));
    await this.settled(doing, before);
  }

  async end(): Promise<void> {
    const { stage } = this.world;
    await Promise.all([...this.pending, ...stage.processes.map((process) => process.over())]);
    for (const process of stage.processes) {
      for (const error of process.errors.splice(0)) this.astray(process.name, error);
    }
    await this.recordLate();
    await this.world.clear();
  }

  /** Kills whose own processes died before they were on record: two processes find them at the same time. */
  private async recordLate(): Promise<void> {
    const { job, stage } = this.world;
    const late = (await unrecordedKills(stage.operator, 0)).filter((kill) => kill.job === job);
    const kills = late.map((kill) => ({ region: stage.operator, kill }));
    // It waits 2 s for its turn at the record, and is tried again, as by the next beat of a process that serves.
    const move = (): Promise<unknown> =>
      moveKills(stage.operator, kills).catch((error: unknown) => {
        if (codeOf(error) !== LOCK_NOT_AVAILABLE) throw error;
        return move();
      });
    await Promise.all([move(), move()]);
  }

  /** A lost connection is no surprise: an impatient kill ends those that it finds in its way. */
  private astray(what: string, error: unknown): void {
    if (isUnreachable(error)) return;
    this.played.astray.push(
      `${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
  }

  /** Waits until something is done, or waits for what only a later step can bring. */
  private async settled(doing: Promise<unknown>, before: readonly string[]): Promise<void> {
    const { stage } = this.world;
    const done = doing.then(() => 'done' as const);
    const since = performance.now();
    for (let lookMs = LOOK_MS; ; lookMs = Math.min(2 * lookMs, LOOK_AGAIN_MS)) {
      const others = this.pending.size > 1 || stage.processes.some((process) => !process.idle);
      if (!others) {
        await done;
        return;
      }
      const late = new AbortController();
      const look = wait(lookMs, 'look' as const, { signal: late.signal }).catch(() => 'done' as const);
      const first = await Promise.race([done, look]);
      late.abort();
      if (first === 'done') return;
      const waiting = await stage.waiting();
      const old = performance.now() - since >= OLD_WAITS_MS ? [] : before;
      if (waiting.some((each) => !old.includes(each))) return;
    }
  }

  /** Has an idle process begin something, and waits for it to pause or end. */
  private async begin(
    worker: number,
    points: Points,
    find: (process: Process) => Promise<{ run: Run; status: 'planning' | 'applying' } | undefined>,
  ): Promise<void> {
    const process = this.world.process(worker);
    if (!process.idle) return;
    process.start(async (platform) => {
      const found = await find(process);
      if (!found) return;
      const { run, status } = found;
      const job = this.world.versions.find(({ version }) => version === run.version) ?? this.world.version(0);
      const { signal } = new AbortController();
      process.policy ??= await this.world.policyInForce();
      await executeRun(platform, job, process.policy, run, status, { signal });
    }, points);
    await process.still();
  }

  private readonly does: { readonly [K in Step['do']]: Does<K> } = {
    flag: async ({ region: n, shares, heardBy }) => {
      const region = this.world.region(n);
      this.world.setFlag(region, shares);
      for (const worker of heardBy) {
        this.hear(worker, region);
        await this.reconcile(worker, region);
      }
    },
    hear: ({ worker, region }) => {
      this.hear(worker, this.world.region(region));
      return Promise.resolve();
    },
    stale: ({ worker, region }) => {
      const answer = { open: false, code: 'flag-stale', reason: 'nothing heard' } as const;
      this.world.process(worker).flags.hear(this.world.job, this.world.region(region), answer);
      return Promise.resolve();
    },
    reconcile: ({ worker, region }) => this.reconcile(worker, this.world.region(region)),
    run: ({ worker, region, version, slot, points }) =>
      this.begin(worker, points, async (process) => {
        const election = await elect(process.platform.region, this.claim(process, region, version, slot));
        return election.elected ? { run: election.run, status: 'planning' } : undefined;
      }),
    'catch-up': ({ worker, region, version, slot, points }) =>
      this.begin(worker, points, async (process) => {
        const run = await electMissed(process.platform.region, this.claim(process, region, version, slot));
        return run && { run, status: 'planning' };
      }),
    proceed: async ({ worker, points }) => {
      this.world.process(worker).proceed(points);
      await this.world.process(worker).still();
    },
    crash: ({ worker }) => this.crash(worker),
    restart: async ({ worker, files }) => {
      await this.crash(worker);
      const misled = await startWith(this.world, files);
      if (misled !== undefined) this.played.misled.push(misled);
      this.world.process(worker).policy = await this.world.policyInForce();
    },
    alert: async (step) => {
      const sent = await sendAlert(this.world, step);
      this.played.alerts.push(sent);
      const { owner } = this.world.stage;
      if (sent.fate !== 'killed') return;
      const { job } = this.world;
      await acknowledge(owner, { job, region: sent.region, version: null, all: false });
      if (sent.version === null) return;
      for (const region of this.world.regions)
        await acknowledge(owner, { job, region, version: sent.version, all: false });
    },
    'fail over': async () => {
      const { job, regions, stage } = this.world;
      await failOver(
        stage.owner,
        stage.name,
        regions.map((region) => ({ job, region })),
      );
    },
    'confirm database': async ({ by }) => {
      const { operator } = this.world.stage;
      await confirmDatabase(operator, operator, { by, reason: 'what it lost is known' });
    },
    'leases end': () =>
      this.world.stage.owner.query(
        `update portcullis_region.run set lease_until = '-infinity' where job = $1`,
        [this.world.job],
      ),
    'take over': ({ worker, points }) =>
      this.begin(worker, points, async (process) => {
        const { job, regions, versions } = this.world;
        return takeOver(process.platform.region, {
          jobs: [job],
          regions,
          versions: versions.map(({ version }) => version),
          worker: process.name,
          leaseMs: LEASE_MS,
        });
      }),
    kill: (step) => this.kill(step),
    'ask re-arm': async ({ region: n, by }) => {
      const { job, stage } = this.world;
      const region = this.world.region(n);
      const ask = { job, regions: [region], among: [], reason: 'mended', onRearm: 'skip' } as const;
      const { id } = await askRearm(
        stage.operator,
        () => stage.operator,
        ask,
        PRINCIPALS[by](this.world.region(0)),
      );
      this.played.asked.push({ id, by, region });
    },
    'ask lift': async ({ version, by }) => {
      const { job, stage } = this.world;
      const ask = { job, version: this.world.version(version).version, reason: 'mended' };
      const { id } = await askLift(
        stage.operator,
        [stage.operator],
        ask,
        PRINCIPALS[by](this.world.region(0)),
      );
      this.played.asked.push({ id, by, region: undefined });
    },
    decide: async ({ back, by, approve }) => {
      const request = this.played.asked.at(-1 - back);
      if (!request) return;
      const { operator } = this.world.stage;
      const principal = PRINCIPALS[by](this.world.region(0));
      const decision = approve ? 'approve' : 'reject';
      const { id } = request;
      await decideRearm(
        operator,
        () => operator,
        () => [operator],
        id,
        principal,
        decision,
      );
      if (approve) this.played.approved.push({ id, by });
    },
    'permit lapses': async ({ region }) => {
      // By the clock, and not under a batch that is at the fence right now and was permitted when it came.
      await this.world.stage.owner.query(
        `update portcullis_region.gate set permit_until = clock_timestamp() + make_interval(secs => $3::float8 / 1000)
         where job = $1 and region = $2 and state = 'open'`,
        [this.world.job, this.world.region(region), LAPSES_MS],
      );
      await wait(LAPSES_MS + 1);
    },
    edit: ({ region, organisation, edit }) =>
      this.edit(`${this.world.region(region)}-acc-${organisation === 'all' ? '' : `${organisation}-`}`, edit),
    restore: ({ worker, back, points }) =>
      this.begin(worker, points, async (process) => {
        const { rows } = await process.platform.region.query<{ id: string }>(
          `select id from portcullis_region.run where job = $1 and lanes > 0 order by created_at desc offset $2 limit 1`,
          [this.world.job, back],
        );
        const [of] = rows;
        if (!of) return undefined;
        const run = await electRestore(process.platform.region, {
          ...{ of: of.id, worker: process.name, leaseMs: LEASE_MS },
        });
        return run && { run, status: 'planning' };
      }),
  };

  private async crash(worker: number): Promise<void> {
    const dying = this.world.process(worker);
    this.world.stage.replace(worker);
    for (const region of this.world.regions) this.hear(worker, region);
    await dying.crash(this.world.stage.owner);
  }

  private hear(worker: number, region: string): void {
    this.world.process(worker).flags.hear(this.world.job, region, this.world.flag(region));
  }

  private async reconcile(worker: number, region: string): Promise<void> {
    const process = this.world.process(worker);
    const { platform, flags } = process;
    const { job } = this.world;
    try {
      await reconcileGate(platform.region, job, region, () => flags.look(flagName(job, region)), PERMIT_MS);
    } catch (error) {
      // It died with the news on its way.
      if (!process.crashed) throw error;
    }
  }

  private claim(process: Process, region: number, version: number, slot: number) {
    return {
      job: this.world.job,
      version: this.world.version(version).version,
      region: this.world.region(region),
      slot: new Date(Date.UTC(2026, 0, 1, 0, slot)),
      trigger: 'schedule',
      worker: process.name,
      leaseMs: LEASE_MS,
    } as const;
  }

  private async kill({ what, by, impatient }: Extract<Step, { do: 'kill' }>): Promise<void> {
    const { job, stage, regions: all } = this.world;
    const { owner, operator } = stage;
    const principal = PRINCIPALS[by](this.world.region(0));
    const restoresToo = what === 'all';
    const regions = typeof what === 'object' && 'region' in what ? [this.world.region(what.region)] : all;
    const version =
      typeof what === 'object' && 'version' in what ? this.world.version(what.version).version : undefined;
    const rest = { job, reason: 'enough', restoresToo, ...(version !== undefined && { version }) };
    const acknowledged = async (region: string): Promise<void> =>
      acknowledge(owner, { job, region, version: version ?? null, all: restoresToo });
    const onRecord = (region: string): void => {
      this.played.killed.push(version === undefined ? `${job}.${region}` : `${job} ${version} in ${region}`);
    };
    if (impatient) {
      if (by === 'eve') return;
      for (const region of regions) {
        const order: KillOrder = { ...rest, region, by, record: randomUUID() };
        await killGate(operator, order, IMPATIENT_MS);
        await acknowledged(region);
        onRecord(region);
        await endKilledRuns(operator, [order]);
      }
      return;
    }
    const report = await killJob(operator, () => operator, { ...rest, regions }, principal);
    for (const { region, reason } of report.failed) this.played.astray.push(`kill in ${region}: ${reason}`);
    for (const { region } of report.killed) {
      await acknowledged(region);
      onRecord(region);
    }
    if (report.unrecorded !== undefined) this.played.astray.push(`unrecorded: ${report.unrecorded}`);
  }

  private async edit(prefix: string, edit: Edit): Promise<void> {
    const { rows } = await this.world.stage.owner.query<{ id: string; row: unknown }>(
      `update directory.account a set ${EDITS[edit]} where id like $1 || ${edit === 'rename one' ? `'1'` : `'%'`}
       returning id, to_jsonb(a) as row`,
      [prefix],
    );
    for (const { id, row } of rows) this.played.edited.push(`${id} ${JSON.stringify(row)}`);
  }
}

const EDITS: Readonly<Record<Edit, string>> = {
  release: `state = 'UNMANAGED', organisation_id = null, claimed_at = null`,
  exclude: `state = 'EXCLUDED'`,
  rename: `email = 'x' || email`,
  'rename one': `email = 'y' || email`,
  backdate: `claimed_at = timestamptz '2020-02-02 02:02:02.020202Z' + length(email) * interval '1 microsecond'`,
};

const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK = '40P01';

function isDeadlock(error: unknown): boolean {
  return codeOf(error) === DEADLOCK;
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}
