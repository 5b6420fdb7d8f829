import type pg from 'pg';
import { inTransaction } from '../postgres/pool.js';
import { canonicalJson } from './canonical-json.js';
import { type AuditHead, type ChainFault, type ChainVerdict, ChainWalk } from './chain.js';
import { pagesOfAudit, WALK } from './pages.js';
import type { ChainedEntry } from './entry.js';

export interface VerifyOptions {
  /** A head that was kept elsewhere: the log must still go through it. */
  readonly expectHead?: AuditHead | undefined;
  /** How many entries were found sound so far. */
  readonly onProgress?: ((count: number) => void) | undefined;
}

/**
 * Walks the whole log, as it is at one moment and in flat memory, and names the first entry that was changed,
 * taken out or put in. What was cut off at the end is found only against `expectHead`.
 */
export async function verifyAudit(control: pg.Pool, options: VerifyOptions = {}): Promise<ChainVerdict> {
  return inTransaction(
    control,
    async (client) => {
      const walk = new ChainWalk(options.expectHead);
      for await (const page of pagesOfAudit(client)) {
        const inexact = await inexactEvidence(client, page);
        for (const entry of page) {
          const fault = inexact(entry) ?? walk.follow(entry);
          if (fault) return { ok: false, count: walk.count, ...fault };
        }
        options.onProgress?.(walk.count);
      }
      return walk.end();
    },
    WALK,
  );
}

/**
 * jsonb holds numbers that JavaScript cannot tell apart (0.1 and 0.10000000000000000001), and so cannot hash
 * apart: the database compares what it holds with what the hashed text would have made it hold.
 */
async function inexactEvidence(
  client: pg.PoolClient,
  page: readonly ChainedEntry[],
): Promise<(entry: ChainedEntry) => ChainFault | undefined> {
  const { rows } = await client.query<{ seq: number }>(
    `select stored.seq
     from unnest($1::bigint[], $2::text[]) as hashed (seq, evidence)
     join portcullis_control.audit stored using (seq)
     where stored.evidence::text is distinct from hashed.evidence::jsonb::text`,
    [page.map(({ seq }) => seq), page.map(({ evidence }) => canonicalOrNull(evidence))],
  );
  const inexact = new Set(rows.map(({ seq }) => seq));
  return ({ seq }) =>
    inexact.has(seq)
      ? { seq, reason: `entry ${seq} was changed: its evidence has numbers that were never hashed` }
      : undefined;
}

function canonicalOrNull(value: unknown): string | null {
  try {
    return canonicalJson(value);
  } catch {
    return null;
  }
}
