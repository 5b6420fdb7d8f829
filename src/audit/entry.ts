import { z } from 'zod';
import { Evidence, isoTime, named } from '../kernel/schema.js';
import { viewColumns } from '../postgres/view.js';
import { isoText } from './row.js';

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** An entry as it is stored, with the hashes that chain it. */
export const ChainedEntry = named(
  'AuditEntry',
  z.strictObject({
    seq: z.int().describe('1 for the first, and one more for each'),
    at: isoTime.describe("the database's clock, ISO 8601 in UTC, to the microsecond"),
    principal: z.string(),
    action: z.string(),
    subject: z.string(),
    evidence: Evidence,
    flagRevision: z.int().nullable(),
    prev: hash.describe('the hash of the entry before'),
    hash: hash.describe('SHA-256 over the bytes of prev and the canonical JSON of all but prev and hash'),
  }),
);
export type ChainedEntry = z.infer<typeof ChainedEntry>;

export const AUDIT_COLUMNS = viewColumns(ChainedEntry, {
  at: isoText('at'),
  prev: "encode(prev, 'hex')",
  hash: "encode(hash, 'hex')",
});
