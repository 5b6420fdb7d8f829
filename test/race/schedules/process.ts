import { AsyncLocalStorage } from 'node:async_hooks';
import type pg from 'pg';
import { onFaultPoint } from '../../../src/kernel/fault-point.js';
import { flagName, type FlagAnswer, type FlagDefinition } from '../../../src/flags/definition.js';
import type { AdmittedUnits } from '../../../src/sdk/contract.js';
import type { Policy } from '../../../src/flags/policy.js';
import type { Flags, Platform } from '../../../src/worker/platform.js';
import { openPool } from '../../../src/postgres/pool.js';
import { HandSetFlags } from '../../support/platform.js';
import { bounded } from './bounded.js';
import type { Points } from './schedule.js';
import type { Twist } from './world.js';

/** Thrown out of the fault point at which a process dies. */
class Crashed extends Error {}

/** What a process has heard of the flags: anything from news to long ago. */
class HeardFlags implements Flags {
  private readonly answers = new Map<string, FlagAnswer>();
  private readonly bucketing = new HandSetFlags();

  constructor(private readonly twisted: Twist['admit']) {}

  hear(job: string, region: string, answer: FlagAnswer): void {
    this.answers.set(flagName(job, region), answer);
  }

  look(flag: string): FlagAnswer {
    return (
      this.answers.get(flag) ?? { open: false, code: 'flag-unknown', reason: `there is no flag ${flag}` }
    );
  }

  admit(definition: FlagDefinition, version: string, units: Iterable<string>): AdmittedUnits {
    return this.twisted?.(units) ?? this.bucketing.admit(definition, version, units);
  }
}

/** What may be planted into a process's connections: a statement's text in, what is sent out. */
export type Rewrite = (sql: string) => string;

/** A pool whose connections say something else than they were told. */
export function rewritten(pool: pg.Pool, rewrite: Rewrite | undefined): pg.Pool {
  if (rewrite === undefined) return pool;
  pool.on('connect', (client) => {
    const send = client.query.bind(client) as (...args: unknown[]) => unknown;
    const query = (first: unknown, ...rest: unknown[]): unknown => {
      if (typeof first === 'string') return send(rewrite(first), ...rest);
      if (typeof first === 'object' && first !== null && 'text' in first && !('submit' in first)) {
        return send({ ...first, text: rewrite(String(first.text)) }, ...rest);
      }
      return send(first, ...rest);
    };
    client.query = query as typeof client.query;
  });
  return pool;
}

const within = new AsyncLocalStorage<Process>();

/** Hands every fault point to the process that has come to it. To be called once. */
export function watchFaultPoints(): void {
  onFaultPoint(async () => within.getStore()?.reach());
}

/** How long a process may take to end when nothing holds it any more. */
const END_MS = 60_000;

/** A worker's process, that runs one run at a time and pauses at the fault points where it is told to. */
export class Process {
  readonly flags: HeardFlags;
  readonly platform: Platform;
  /** The pids of all connections that it has ever had. */
  readonly backends = new Set<number>();
  private readonly pool: pg.Pool;
  private allowance = 0;
  private parked: {
    readonly go: () => void;
    readonly die: (error: Error) => void;
  }[] = [];
  private running: Promise<unknown> | undefined;
  crashed = false;
  /** The policy that it has read; undefined: none of this schedule's yet. */
  policy: Policy | undefined;
  private readonly waiting: (() => void)[] = [];
  /** What its run threw, unless the process was crashed. */
  readonly errors: unknown[] = [];

  constructor(
    readonly name: string,
    url: string,
    base: Omit<Platform, 'worker' | 'region' | 'flags'>,
    twist: Twist,
  ) {
    this.flags = new HeardFlags(twist.admit);
    this.pool = rewritten(openPool(url, { name, max: 5 }), twist.worker);
    // Known to history.ts by this, whatever the product calls its connections.
    const { options } = this.pool;
    options.options = `${options.options ?? ''} -c history.process=portcullis\\ ${name.replaceAll(' ', '\\ ')}`;
    this.pool.on('connect', (client) => {
      const { processID } = client as unknown as { readonly processID: number };
      this.backends.add(processID);
    });
    this.platform = { ...base, worker: name, region: this.pool, flags: this.flags };
  }

  get idle(): boolean {
    return this.running === undefined;
  }

  get paused(): boolean {
    return this.parked.length > 0;
  }

  /** Resolves when the process has paused, or has ended its run. */
  async still(): Promise<void> {
    while (!this.idle && !this.paused) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private changed(): void {
    for (const look of this.waiting.splice(0)) look();
  }

  start(work: (platform: Platform) => Promise<unknown>, points: Points): void {
    this.allow(points);
    this.running = within
      .run(this, () => work(this.platform))
      .catch((error: unknown) => {
        if (!this.crashed) this.errors.push(error);
      })
      .finally(() => {
        this.running = undefined;
        this.changed();
      });
  }

  proceed(points: Points): void {
    this.allow(points);
    for (const { go } of this.parked.splice(0)) go();
  }

  private allow(points: Points): void {
    this.allowance = points === 'all' ? Infinity : points;
  }

  async reach(): Promise<void> {
    if (this.crashed) throw new Crashed();
    if (this.allowance > 0) {
      this.allowance -= 1;
      return;
    }
    await new Promise<void>((go, die) => {
      this.parked.push({ go, die });
      this.changed();
    });
  }

  /** As kill -9 does: its connections are gone, and nothing it does from now on reaches anyone. */
  async crash(owner: pg.Pool): Promise<void> {
    this.crashed = true;
    const ended = this.pool.end();
    await owner.query('select pg_terminate_backend(pid, 5000) from pg_stat_activity where pid = any($1)', [
      [...this.backends],
    ]);
    for (const { die } of this.parked.splice(0)) die(new Crashed());
    await bounded(END_MS, () => `${this.name}, crashed,`, Promise.all([this.running, ended]));
  }

  async close(): Promise<void> {
    this.proceed('all');
    await bounded(END_MS, () => `${this.name}, told to end,`, Promise.all([this.running, this.pool.end()]));
  }

  /** Waits until its run is over. */
  async over(): Promise<void> {
    this.proceed('all');
    await this.running;
  }
}
