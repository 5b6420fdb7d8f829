import type pg from 'pg';

/** Where the history of a control database has come to. It only ever grows, unless a backup takes its place. */
interface Head {
  readonly flags: number;
  readonly admissions: number;
  /** The newest line of the audit log; null: it is empty. */
  readonly line: { readonly seq: number; readonly hash: string } | null;
  /** Whether the line that was seen before is still there. */
  readonly kept: boolean;
}

/**
 * Tells whether a control database is still the one of the last look, by one query: the audit line that was the newest
 * then is still there, and no revision went back. A backup of before lacks that line; one that has written as many lines
 * since has others, for each has the hash of all before it.
 */
export class ControlHistory {
  #seen: Head | undefined;

  constructor(private readonly control: pg.Pool) {}

  /** Whether it is another than at the last look; also at the first. */
  async isOther(): Promise<boolean> {
    const seen = this.#seen;
    const { rows } = await this.control.query<Head>(
      `select (select last_value from portcullis_control.flag_revision) as flags,
         (select last_value from portcullis_control.admission_revision) as admissions,
         (select jsonb_build_object('seq', seq, 'hash', encode(hash, 'hex'))
          from portcullis_control.audit order by seq desc limit 1) as line,
         $1::bigint is null or exists (
           select from portcullis_control.audit where seq = $1 and hash = decode($2, 'hex')) as kept`,
      [seen?.line?.seq ?? null, seen?.line?.hash ?? null],
    );
    const [head] = rows;
    if (head === undefined) throw new Error('a query without a table answered no row');
    this.#seen = head;
    return seen === undefined || !head.kept || head.flags < seen.flags || head.admissions < seen.admissions;
  }
}
