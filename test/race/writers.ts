import { fork, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll } from '@jest/globals';
import type pg from 'pg';

const WRITERS = fileURLToPath(new URL('../support/writers.mjs', import.meta.url));

const children = new Set<ChildProcess>();
afterAll(() => children.forEach((child) => child.kill('SIGKILL')));

/** How a writer's lanes ended, as `applyPlan` answers it. */
export interface WritersEnd {
  readonly complete: boolean;
  readonly code?: string;
  readonly reason?: string;
}

export interface WriterRun {
  readonly id: string;
  readonly job: string;
  readonly region: string;
  readonly attempt: number;
  readonly restores: null;
}

/** Processes that write: the lanes of a run, dealt out among them. */
export class Writers {
  private readonly children: ChildProcess[];

  constructor(workerUrl: string, processes: number) {
    this.children = Array.from({ length: processes }, () =>
      fork(WRITERS, { env: { PATH: process.env['PATH'], WRITERS_URL: workerUrl } }),
    );
    this.children.forEach((child) => children.add(child));
  }

  /** Lets the first so many lanes of a run be written, one change a batch. Answers how it ended, by process. */
  async write(run: WriterRun, lanes: number): Promise<WritersEnd[]> {
    const all = Array.from({ length: lanes }, (_, lane) => lane);
    const busy = this.children.slice(0, lanes);
    return Promise.all(
      busy.map(async (child, at) => {
        const answer = once(child, 'message') as Promise<[WritersEnd]>;
        child.send({ run, lanes: all.filter((lane) => lane % busy.length === at), batch: 1 });
        return (await answer)[0];
      }),
    );
  }
}

const RESOURCES = { account: { table: 'directory.account', key: 'id', changes: ['email'] } };
const STEPS = [{ resource: 'account', operation: 'update', requires: [] }];

/**
 * A run that has been planned and judged, as the run loop leaves it: so many lanes, so many changes in each, of
 * accounts that are made for it.
 */
export async function seedPlannedRun(
  owner: pg.Pool,
  gate: { readonly job: string; readonly region: string; readonly epoch: number },
  lanes: number,
  changesEach: number,
): Promise<WriterRun> {
  const id = randomUUID();
  const values = [id, lanes, changesEach];
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, gate_epoch, lanes,
        planned, resources, steps)
     values ($1, $2, '1.0.0_a', $3, clock_timestamp(), 'manual', 'applying', 'planned', 'planned', 'writers',
             clock_timestamp() + interval '1 hour', $4, $5, jsonb_build_object('move', $6::integer), $7, $8)`,
    [
      ...[id, gate.job, gate.region, gate.epoch, lanes, lanes * changesEach],
      ...[JSON.stringify(RESOURCES), JSON.stringify(STEPS)],
    ],
  );
  await owner.query(
    `insert into directory.account (id, email, email_verified, home_region)
     select format('%s-%s-%s', $1::text, lane, seq), 'before@a.example', true, 'writers'
     from generate_series(0, $2 - 1) lane, generate_series(1, $3) seq`,
    values,
  );
  await owner.query(
    `insert into portcullis_region.lane (run, lane, attempt, last_seq)
     select $1, lane, 1, $3 from generate_series(0, $2 - 1) lane`,
    values,
  );
  await owner.query(
    `insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
     select $1::uuid, lane, seq, 'account', format('%s-%s-%s', $1::text, lane, seq), 'move', 'unit',
            '{"email": "before@a.example"}', '{"email": "after@a.example"}', '{}'
     from generate_series(0, $2 - 1) lane, generate_series(1, $3) seq`,
    values,
  );
  return { id, job: gate.job, region: gate.region, attempt: 1, restores: null };
}
