import type pg from 'pg';
import { z } from 'zod';
import { spellingsOf } from '../kernel/version-named.js';
import { keyOfCursor, pageOf, type Page, type PageRequest } from '../postgres/page.js';
import { type ChainedEntry, AUDIT_COLUMNS } from './entry.js';

export interface AuditFilter {
  readonly principal?: string | undefined;
  readonly action?: string | undefined;
  readonly subject?: string | undefined;
  /** Only entries from this moment on (ISO 8601). */
  readonly since?: string | undefined;
}

const AuditKey = z.tuple([z.int().min(0)]);

/** Entries of the audit log, newest first. Throws REQUEST_INVALID for a cursor that is not of this list. */
export async function listAudit(
  control: pg.Pool,
  filter: AuditFilter,
  page: PageRequest,
): Promise<Page<ChainedEntry>> {
  const [before] = keyOfCursor(page.cursor, AuditKey) ?? [null];
  const { rows } = await control.query<ChainedEntry>(
    `select ${AUDIT_COLUMNS} from portcullis_control.audit
     where ($1::text is null or principal = $1)
       and ($2::text is null or action = $2)
       and ($3::text[] is null or subject = any($3))
       and ($4::timestamptz is null or audit.at >= $4)
       and ($5::bigint is null or seq < $5)
     order by seq desc
     limit $6`,
    [
      filter.principal,
      filter.action,
      // What was recorded before versions' names changed stays as it was written.
      filter.subject === undefined ? null : spellingsOf(filter.subject),
      filter.since,
      before,
      page.limit + 1,
    ],
  );
  return pageOf(
    rows,
    page.limit,
    (row) => row,
    (row) => [row.seq],
  );
}
