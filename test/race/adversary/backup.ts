import type pg from 'pg';
import { inTransaction } from '../../../src/postgres/pool.js';

const TABLES = ['flag_change', 'flag', 'admission', 'break_glass'];
const SEQUENCES = ['flag_revision', 'admission_revision'];

/** What a control database said of a job's flags and admissions, to be put back as a backup is. */
export class Backup {
  private readonly rows = new Map<string, unknown>();
  private readonly numbers = new Map<string, number>();

  constructor(
    private readonly owner: pg.Pool,
    private readonly job: string,
  ) {}

  async take(): Promise<void> {
    for (const table of TABLES) {
      const { rows } = await this.owner.query<{ all: unknown }>(
        `select coalesce(jsonb_agg(t), '[]') as all from portcullis_control.${table} t where job = $1`,
        [this.job],
      );
      this.rows.set(table, rows[0]?.all);
    }
    for (const sequence of SEQUENCES) {
      const { rows } = await this.owner.query<{ n: number }>(
        `select last_value as n from portcullis_control.${sequence}`,
      );
      this.numbers.set(sequence, rows[0]?.n ?? 1);
    }
  }

  /** Does nothing where none was taken. No trigger of the product sees it; who listens is told, as after a restart. */
  async putBack(): Promise<void> {
    if (this.rows.size === 0) return;
    await inTransaction(this.owner, async (client) => {
      await client.query('set local session_replication_role = replica');
      for (const table of TABLES) {
        await client.query(`delete from portcullis_control.${table} where job = $1`, [this.job]);
        await client.query(
          `insert into portcullis_control.${table}
           select * from jsonb_populate_recordset(null::portcullis_control.${table}, $1::jsonb)`,
          [JSON.stringify(this.rows.get(table))],
        );
      }
      for (const [sequence, n] of this.numbers)
        await client.query('select setval($1::regclass, $2)', [`portcullis_control.${sequence}`, n]);
      await client.query(`select pg_notify('portcullis_flag', 'restored')`);
    });
  }
}
