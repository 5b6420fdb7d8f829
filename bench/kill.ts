import { fork, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { killGate } from '#dist/containment/kill-gate.js';
import { rearmGate } from '#dist/containment/rearm.js';
import { atEnd } from './endings.js';
import type { Writing, Wrote } from './kill-writers.js';
import type { BenchServer } from './server.js';

const CHILD = fileURLToPath(new URL('./kill-writers.js', import.meta.url));
const JOB = 'bench-kill';
const BATCH = 500;
/** Batches that each writer has before it: more than it comes to. */
const BATCHES_EACH = 4;

/** What a kill may take: so many batches' time in the middle, and never longer than this. */
const P50_BATCHES = 3;
const P99_MS = 250;

export interface KillSetting {
  readonly writers: number;
  readonly batch: number;
  readonly rounds: number;
  /** Median time from a batch's fence to its commit, with so many writers at once. */
  readonly batchMs: number;
  readonly killMs: { readonly p50: number; readonly p95: number; readonly p99: number; readonly max: number };
  /** Batches that committed after the gate was closed, by the database's own commit order. */
  readonly committedAfterAck: number;
}

export interface KillResult {
  readonly name: 'kill';
  readonly ok: boolean;
  readonly settings: readonly KillSetting[];
}

/** Unlike the others it has no reference: its reach is in batches' time, measured in the same rounds. */
export const kill = {
  name: 'kill',
  runs: 100,
  async measure({ server, runs, progress }: KillContext): Promise<KillResult> {
    const settings: KillSetting[] = [];
    for (const writers of [8, 32]) settings.push(await measureSetting(server, writers, runs, progress));
    return { name: 'kill', ok: settings.every(isWithinReach), settings };
  },
} as const;

interface KillContext {
  readonly server: BenchServer;
  readonly runs: number;
  readonly progress: (text: string) => void;
}

function isWithinReach({ batchMs, killMs, committedAfterAck }: KillSetting): boolean {
  return killMs.p50 <= P50_BATCHES * batchMs && killMs.p99 <= P99_MS && committedAfterAck === 0;
}

async function measureSetting(
  server: BenchServer,
  writers: number,
  rounds: number,
  progress: (text: string) => void,
): Promise<KillSetting> {
  const template = await server.template(`kill_${writers}`, seeKills);
  const database = await server.copyOf(template);
  const child = fork(CHILD, { env: { ...process.env, BENCH_URL: database.workerUrl } });
  const endChild = atEnd(() => void child.kill('SIGKILL'));
  const killsMs: number[] = [];
  const batchesMs: number[] = [];
  let committedAfterAck = 0;
  try {
    for (let round = 0; round <= rounds; round += 1) {
      const run = await seedRun(database.owner, await openGate(database.owner), writers);
      const ended = write(child, { run, batch: BATCH });
      await underWay(database.owner, run.id, writers);
      await setTimeout(Math.random() * (batchesMs.length === 0 ? 20 : middle(batchesMs)));
      const killed = await killGate(database.owner, { ...PLACE, reason: 'the bench', by: 'bench' });
      await ended;
      const seen = await judge(database.owner, run.id);
      await rearmGate(database.owner, {
        ...PLACE,
        ...{ epoch: killed.epoch, reason: 'the bench', by: 'bench', onRearm: 'skip' },
      });
      progress(`${writers} writers, round ${round} of ${rounds}: ${killed.tookMs.toFixed(1)} ms`);
      batchesMs.push(...seen.batchesMs);
      committedAfterAck += seen.late;
      // The first warms up.
      if (round > 0) killsMs.push(killed.tookMs);
    }
  } finally {
    await endChild();
    await database.drop();
  }
  const killMs = {
    p50: share(killsMs, 0.5),
    p95: share(killsMs, 0.95),
    p99: share(killsMs, 0.99),
    max: share(killsMs, 1),
  };
  return { writers, batch: BATCH, rounds, batchMs: middle(batchesMs), killMs, committedAfterAck };
}

const PLACE = { job: JOB, region: 'r1' } as const;

async function write(child: ChildProcess, writing: Writing): Promise<void> {
  const answer = once(child, 'message') as Promise<[Wrote]>;
  child.send(writing);
  const [{ code }] = await answer;
  if (code !== 'gate-killed' && code !== 'complete') throw new Error(`the writers ended with ${code}`);
}

/** Waits until so many batches have committed that every writer may be at one. */
async function underWay(owner: pg.Pool, run: string, writers: number): Promise<void> {
  for (;;) {
    const { rows } = await owner.query<{ n: number }>(
      'select count(*) as n from portcullis_region.batch where run = $1',
      [run],
    );
    if ((rows[0]?.n ?? 0) >= writers / 2) return;
  }
}

/** Has the database keep what had committed when a gate was closed: see test/race/commit-order.ts. */
async function seeKills(owner: pg.Pool): Promise<void> {
  await owner.query(`
    create table public.kill_seen (seen bigint generated always as identity, snapshot pg_snapshot);
    create function public.see_kill() returns trigger language plpgsql as $$
    begin
      insert into public.kill_seen (snapshot) values (pg_current_snapshot());
      return null;
    end $$;
    create trigger see_kill after insert or update on portcullis_region.gate
      for each row when (new.state = 'killed') execute function public.see_kill()`);
}

async function judge(owner: pg.Pool, run: string): Promise<{ late: number; batchesMs: number[] }> {
  const { rows } = await owner.query<{ late: boolean; ms: number | null }>(
    `select not pg_visible_in_snapshot(b.xmin::text::xid8,
              (select snapshot from public.kill_seen order by seen desc limit 1)) as late,
            (extract(epoch from applied_at - lag(applied_at) over (partition by lane order by to_seq)) * 1000)::float8 as ms
     from portcullis_region.batch b where run = $1`,
    [run],
  );
  return {
    late: rows.filter(({ late }) => late).length,
    batchesMs: rows.flatMap(({ ms }) => (ms === null ? [] : [ms])),
  };
}

async function openGate(owner: pg.Pool): Promise<number> {
  const { rows } = await owner.query<{ epoch: number }>(
    `insert into portcullis_region.gate as g (job, region, state, permit_until)
     values ($1, $2, 'open', clock_timestamp() + interval '10 minutes')
     on conflict (job, region) do update set state = 'open', permit_until = excluded.permit_until
     returning epoch`,
    [PLACE.job, PLACE.region],
  );
  return rows[0]?.epoch ?? 0;
}

/** A run as its plan phase leaves it: so many lanes of accounts of its own. */
async function seedRun(owner: pg.Pool, epoch: number, writers: number): Promise<Writing['run']> {
  const id = randomUUID();
  const resources = { account: { table: 'directory.account', key: 'id', changes: ['email'] } };
  const steps = [{ resource: 'account', operation: 'update', requires: [] }];
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, gate_epoch, lanes,
        resources, steps, finished_at)
     values ($1, $2, '1.0.0_a', $3, clock_timestamp(), 'manual', 'stopped', 'bench', 'bench', 'bench', clock_timestamp(),
             $4, $5, $6, $7, clock_timestamp())`,
    [id, PLACE.job, PLACE.region, epoch, writers, JSON.stringify(resources), JSON.stringify(steps)],
  );
  const each = BATCH * BATCHES_EACH;
  await owner.query(
    `with account as (
       insert into directory.account (id, email, email_verified, home_region)
       select format('%s-%s-%s', $1::text, lane, seq), 'before@a.example', true, 'r1'
       from generate_series(0, $2::integer - 1) lane, generate_series(1, $3::integer) seq
     ), lanes as (
       insert into portcullis_region.lane (run, lane, attempt, last_seq)
       select $1::uuid, lane, 1, $3 from generate_series(0, $2 - 1) lane
     )
     insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
     select $1::uuid, lane, seq, 'account', format('%s-%s-%s', $1::text, lane, seq), 'move', 'unit',
            '{"email": "before@a.example"}', '{"email": "after@a.example"}', '{}'
     from generate_series(0, $2 - 1) lane, generate_series(1, $3) seq`,
    [id, writers, each],
  );
  const now = new Date();
  return {
    ...{ id, ...PLACE, version: '1.0.0_a', slot: now, trigger: 'manual', dryRun: false },
    ...{ restores: null, attempt: 1, createdAt: now },
  };
}

function middle(figures: readonly number[]): number {
  return share(figures, 0.5);
}

/** The figure below or at which this share of them lies, to a tenth. */
function share(figures: readonly number[], part: number): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const at = Math.max(0, Math.ceil(part * sorted.length) - 1);
  return Number((sorted[at] ?? Number.NaN).toFixed(1));
}
