import type pg from 'pg';
import { z } from 'zod';
import { canonicalJson } from './canonical-json.js';
import { type AuditHead, type ChainVerdict, ChainWalk } from './chain.js';
import { beginTransaction } from '../postgres/pool.js';
import { pagesOfAudit, WALK } from './pages.js';
import type { ChainedEntry } from './entry.js';

/** The whole log in order, as it was at one moment, in flat memory; {@link auditLine} makes a line of each entry. */
export async function* exportAudit(control: pg.Pool): AsyncGenerator<ChainedEntry> {
  const client = await control.connect();
  try {
    await beginTransaction(client, WALK);
    for await (const page of pagesOfAudit(client)) yield* page;
  } finally {
    // Ends the cursor too; a connection that cannot even do that is of no more use.
    const broken = await client.query('rollback').then(
      () => false,
      () => true,
    );
    client.release(broken);
  }
}

/** An entry as a line of an export: the one text that {@link verifyLines} takes for it. */
export const auditLine = (entry: ChainedEntry): string => canonicalJson(entry);

const Hash = z.string().regex(/^[0-9a-f]{64}$/);

const Line = z.strictObject({
  seq: z.int(),
  at: z.string(),
  principal: z.string(),
  action: z.string(),
  subject: z.string(),
  // Not z.record, which passes over a member named __proto__.
  evidence: z.custom<ChainedEntry['evidence']>(isObject),
  flagRevision: z.int().nullable(),
  prev: Hash,
  hash: Hash,
});

/**
 * Verifies an exported log from its lines alone (with or without their line ends), as {@link exportAudit} gave
 * them and with no database at hand.
 */
export async function verifyLines(
  lines: AsyncIterable<string> | Iterable<string>,
  { expectHead }: { readonly expectHead?: AuditHead | undefined } = {},
): Promise<ChainVerdict> {
  const walk = new ChainWalk(expectHead);
  for await (const line of lines) {
    const text = line.replace(/\r?\n$/, '');
    if (text === '') continue;
    const entry = entryOfLine(text);
    const fault = entry
      ? walk.follow(entry)
      : { seq: walk.count + 1, reason: `the line behind entry ${walk.count} is not one that was exported` };
    if (fault) return { ok: false, count: walk.count, ...fault };
  }
  return walk.end();
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Only the canonical text will do: JSON says a value in many ways, some of which a reader would miss. */
function entryOfLine(text: string): ChainedEntry | undefined {
  try {
    const entry = Line.parse(JSON.parse(text));
    return canonicalJson(entry) === text ? entry : undefined;
  } catch {
    return undefined;
  }
}
