import type pg from 'pg';
import type { TransactionMode } from '../postgres/pool.js';
import { type ChainedEntry, AUDIT_COLUMNS } from './entry.js';

const PAGE_ROWS = 500;

/** The transaction that the log is walked in: one moment of it. */
export const WALK: TransactionMode = { isolation: 'repeatable read', readOnly: true };

/**
 * The whole log in order, as it was when the walk began, page by page. The client must be in a
 * transaction that began as {@link WALK}. A cursor and not a walk by key: also where someone has dropped the
 * primary key, no row is passed over.
 */
export async function* pagesOfAudit(client: pg.PoolClient): AsyncGenerator<ChainedEntry[]> {
  await client.query(
    `declare audit_walk no scroll cursor for select ${AUDIT_COLUMNS} from portcullis_control.audit order by seq`,
  );
  for (;;) {
    const { rows } = await client.query<ChainedEntry>(`fetch forward ${PAGE_ROWS} from audit_walk`);
    if (rows.length === 0) return;
    yield rows;
  }
}
