import type pg from 'pg';

/** A connection that waits for a lock. */
interface LockWait {
  readonly pid: number;
  /** The connection's application_name. */
  readonly name: string;
  /** Of this one wait: the same connection's next one has another. */
  readonly wait: string;
}

/** Who waits for a lock in a database. Stages that ask at the same time get one answer: each look costs a millisecond. */
export class LockWaits {
  private looking: Promise<readonly LockWait[]> | undefined;

  constructor(private readonly owner: pg.Pool) {}

  now(): Promise<readonly LockWait[]> {
    this.looking ??= this.look().finally(() => (this.looking = undefined));
    return this.looking;
  }

  private async look(): Promise<readonly LockWait[]> {
    const { rows } = await this.owner.query<LockWait>(
      `select a.pid, a.application_name as name, a.pid || ' ' || a.query_start as wait
       from pg_stat_get_activity(null) a
       where a.wait_event_type = 'Lock'
         and a.datid = (select oid from pg_database where datname = current_database())`,
    );
    return rows;
  }
}
