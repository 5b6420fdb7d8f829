import pg from 'pg';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { storable, storableValue } from '../kernel/text.js';
import { LOCKS } from '../postgres/locks.js';
import { inTransaction } from '../postgres/pool.js';
import { canonicalJson } from './canonical-json.js';
import { type AuditEntry, type AuditHead, GENESIS, hashOfEntry } from './chain.js';
import { NOW } from './row.js';

/** What is to go on the record. */
export interface AuditNote {
  /** Whose decision it was: a principal's name, or `system:…`. */
  readonly principal: string;
  /** What was done: `set-flag`, `kill`. */
  readonly action: string;
  /** To what: a flag, a run, a token. */
  readonly subject: string;
  /** What it was decided on: plain JSON, at most 256 KiB. */
  readonly evidence: Readonly<Record<string, unknown>>;
  /** The flag's revision that this made, or was decided under. */
  readonly flagRevision?: number | undefined;
}

/** So that a page of entries stays small. */
const MAX_EVIDENCE_BYTES = 256 * 1024;

/**
 * Puts a decision on the record, behind all others. Given a client, it does so in the transaction that the
 * client is in, so that a change and its entry commit together or not at all; the log stays locked to other
 * writers until that transaction ends, so record last. Throws AUDIT_ENTRY_INVALID.
 */
export async function recordAudit(control: pg.Pool | pg.PoolClient, note: AuditNote): Promise<AuditHead> {
  const [head] = await recordAudits(control, [note]);
  return head ?? GENESIS;
}

/** Puts decisions on the record as {@link recordAudit} does, in their order, in as few statements as one takes. */
export async function recordAudits(
  control: pg.Pool | pg.PoolClient,
  notes: readonly AuditNote[],
): Promise<readonly AuditHead[]> {
  return control instanceof pg.Pool
    ? inTransaction(control, (client) => append(client, notes))
    : append(control, notes);
}

/**
 * Waits for this transaction's turn to write. {@link recordAudit} does so by itself; whoever first reads what
 * the entry is to be about takes the turn before that, and so meets no other writer midway nor in a deadlock.
 */
export async function lockAudit(client: pg.PoolClient): Promise<void> {
  // A statement of its own: the next one must see what the writer before us committed. A process that stands still
  // with the turn loses it, as with a gate's lock.
  await client.query(
    `select set_config('idle_in_transaction_session_timeout', '${SILENCE_MS}', true), pg_advisory_xact_lock($1)`,
    [LOCKS.audit],
  );
}

/** How long a writer may say nothing while it has the turn. Then the server ends its connection. */
const SILENCE_MS = 30_000;

/** How long to wait for the turn where somebody waits for an answer. */
const TURN_MS = 2_000;

/**
 * Bounds how long this transaction waits for its turn, and for any other lock: whoever waits longer fails with SQLSTATE
 * 55P03. For what must answer soon and is tried again by others.
 */
export async function boundAuditWait(client: pg.PoolClient): Promise<void> {
  await client.query(`set local lock_timeout = '${TURN_MS}ms'`);
}

async function append(client: pg.PoolClient, notes: readonly AuditNote[]): Promise<AuditHead[]> {
  const checked = notes.map((note) => ({ ...textsOf(note), flagRevision: note.flagRevision ?? null }));
  await lockAudit(client);
  const { rows } = await client.query<{ seq: number | null; hash: string | null; now: string }>(
    `select head.seq, encode(head.hash, 'hex') as hash, ${NOW} as now
     from (values (1)) as always
     left join lateral (select seq, hash from portcullis_control.audit order by seq desc limit 1) head on true`,
  );
  const { seq, hash, now } = { seq: null, hash: null, now: '', ...rows[0] };
  let head: AuditHead = { seq: seq ?? GENESIS.seq, hash: hash ?? GENESIS.hash };
  const added = checked.map((note) => {
    const entry: AuditEntry = {
      ...note,
      seq: head.seq + 1,
      at: now,
      // As it will be read, without members that are undefined.
      evidence: JSON.parse(note.evidence) as Record<string, unknown>,
    };
    const prev = head.hash;
    head = { seq: entry.seq, hash: hashOfEntry(prev, entry) };
    return { ...note, prev, ...head };
  });
  const column = <Name extends keyof (typeof added)[number]>(name: Name) => added.map((each) => each[name]);
  await client.query(
    `insert into portcullis_control.audit
       (seq, at, principal, action, subject, evidence, flag_revision, prev, hash)
     select seq, $2, principal, action, subject, evidence, flag_revision, decode(prev, 'hex'), decode(hash, 'hex')
     from unnest($1::bigint[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bigint[], $8::text[], $9::text[])
       as added (seq, principal, action, subject, evidence, flag_revision, prev, hash)`,
    [
      ...[column('seq'), now, column('principal'), column('action'), column('subject'), column('evidence')],
      ...[column('flagRevision'), column('prev'), column('hash')],
    ],
  );
  return added.map(({ seq: at, hash: of }) => ({ seq: at, hash: of }));
}

/**
 * Checks the note before anything is locked, and answers its texts as they are stored: nothing goes unrecorded over a
 * character that PostgreSQL cannot hold.
 */
function textsOf(note: AuditNote): Record<'principal' | 'action' | 'subject' | 'evidence', string> {
  const { flagRevision } = note;
  const [principal, action, subject] = [note.principal, note.action, note.subject].map(storable) as [
    string,
    string,
    string,
  ];
  try {
    for (const [name, text] of Object.entries({ principal, action, subject })) {
      if (text === '') throw new TypeError(`${name} is empty`);
    }
    if (flagRevision !== undefined && !Number.isSafeInteger(flagRevision)) {
      throw new TypeError(`flagRevision is ${flagRevision}`);
    }
    const evidence = canonicalJson(storableValue(note.evidence));
    const bytes = Buffer.byteLength(evidence);
    if (bytes <= MAX_EVIDENCE_BYTES) return { principal, action, subject, evidence };
    throw new TypeError(`evidence is ${bytes} bytes, over ${MAX_EVIDENCE_BYTES}`);
  } catch (error) {
    throw new PortcullisError(
      'AUDIT_ENTRY_INVALID',
      `${action} of ${subject} cannot go on the record: ${messageOf(error)}`,
      { hint: 'give evidence that is plain JSON of at most 256 KiB', cause: error },
    );
  }
}
