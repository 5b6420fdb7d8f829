import type pg from 'pg';

/**
 * Makes the database itself note, whenever a gate is killed, which transactions had committed by then.
 *
 * The note is a snapshot that the kill's own transaction takes while it has the gate's lock, before it commits and
 * so before anybody can be told that the kill has taken hold. A transaction is visible in a snapshot if, and only
 * if, its commit came before: PostgreSQL's own order, and no clock. So a row whose writer (`xmin`) is not visible
 * in it was committed after the gate was closed, and with that, possibly, after the acknowledgement.
 */
export async function watchCommitOrder(owner: pg.Pool): Promise<void> {
  await owner.query(`
    create table public.kill_seen (
      seen bigint generated always as identity, job text, region text, snapshot pg_snapshot);
    create function public.see_kill() returns trigger language plpgsql as $$
    begin
      insert into public.kill_seen (job, region, snapshot) values (new.job, new.region, pg_current_snapshot());
      return null;
    end $$;
    create trigger see_kill after insert or update on portcullis_region.gate
      for each row when (new.state = 'killed') execute function public.see_kill()`);
}

export interface CommitOrder {
  readonly batches: number;
  /** Of the batches, those that committed after the gate was closed by its last kill. */
  readonly late: number;
  /** Changes that the batches stand for. */
  readonly changes: number;
}

/**
 * Judges a run's batches by the last kill of its gate. `xmin` is 32 bits wide and `xid8` 64: they are the same for
 * the first four thousand million transactions of a server, and a test's server has far fewer.
 */
export async function commitOrder(owner: pg.Pool, run: string): Promise<CommitOrder> {
  const { rows } = await owner.query<CommitOrder>(
    `select count(b.run) as batches,
            count(b.run) filter (where not pg_visible_in_snapshot(b.xmin::text::xid8, kill.snapshot)) as late,
            coalesce(sum(b.to_seq - b.from_seq), 0)::integer as changes
     from portcullis_region.run r
     cross join lateral (select snapshot from public.kill_seen k
                         where (k.job, k.region) = (r.job, r.region) order by seen desc limit 1) kill
     left join portcullis_region.batch b on b.run = r.id
     where r.id = $1`,
    [run],
  );
  const [order] = rows;
  if (!order) throw new Error(`nobody has killed the gate of run ${run}`);
  return order;
}
