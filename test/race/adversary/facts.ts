import type pg from 'pg';

/** A row as a commit left it. Ticks count commits, in their order as far as a lock orders them. */
export interface Fact {
  readonly tick: number;
  readonly at: Date;
  /** The table. */
  readonly what: string;
  readonly row: Readonly<Record<string, unknown>>;
}

/**
 * Has the database remember by itself who was admitted by whom and what was written, whatever the product makes of it:
 * not the admissions, but what they must rest on.
 */
export async function keepFacts(owner: pg.Pool): Promise<void> {
  await owner.query(`
    create schema fact;
    create sequence fact.tick;
    create table fact.kept (
      tick bigint primary key default nextval('fact.tick'), at timestamptz not null default clock_timestamp(),
      what text not null, row jsonb not null);
    create function fact.keep() returns trigger language plpgsql security definer as $$
    begin
      insert into fact.kept (what, row) values (tg_table_name, to_jsonb(new));
      return null;
    end $$;
    ${KEPT.map(
      (table) => `create constraint trigger fact after insert or update on ${table}
        deferrable initially deferred for each row execute function fact.keep();`,
    ).join('\n')}
    create constraint trigger fact after update on portcullis_region.run
      deferrable initially deferred for each row when (new.status = 'succeeded') execute function fact.keep();`);
}

const KEPT = [
  'portcullis_control.flag',
  'portcullis_control.rollout',
  'portcullis_control.rollout_part',
  'portcullis_control.approval',
  'portcullis_control.break_glass',
  'portcullis_region.quarantine',
  'portcullis_region.batch',
];

/** The number of a moment: what commits later has a greater one. */
export async function tickNow(owner: pg.Pool): Promise<number> {
  const { rows } = await owner.query<{ tick: number }>(`select nextval('fact.tick') as tick`);
  return rows[0]?.tick ?? 0;
}

/** Notes what no table of the product says. */
export async function note(owner: pg.Pool, what: string, row: Fact['row']): Promise<void> {
  await owner.query('insert into fact.kept (what, row) values ($1, $2)', [what, row]);
}

/** All that was kept since the last call, in order. */
export async function takeFacts(owner: pg.Pool): Promise<Fact[]> {
  const { rows } = await owner.query<Fact>('delete from fact.kept returning tick, at, what, row');
  return rows.sort((one, other) => one.tick - other.tick);
}
