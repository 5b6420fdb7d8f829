import { createHash, randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { withLast } from '../postgres/pool.js';
import { canonicalJson } from '../audit/canonical-json.js';
import { ERRORS, PortcullisError, type ErrorCode } from '../kernel/errors.js';
import { storableJson } from '../kernel/text.js';
import { faultPoint } from '../kernel/fault-point.js';
import { within } from '../kernel/within.js';

/** The header with the key of an act, and the one that marks an answer of an earlier call. */
export const IDEMPOTENCY_KEY = 'Idempotency-Key';
export const IDEMPOTENT_REPLAYED = 'Idempotent-Replayed';

/** An act that came with a key. */
export interface KeyedAct {
  /** The id of the token that called. */
  readonly caller: string;
  readonly key: string;
  /** The name of the operation. */
  readonly operation: string;
  /** What it was given, in whatever order its members came. */
  readonly input: unknown;
  /** Whether the answer holds a secret, which is not kept. */
  readonly secret: boolean;
  /** Whether all that it does is one transaction of the control database. */
  readonly oneCommit: boolean;
}

/** What an act answered, as it went over the wire. */
export interface Answered {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export interface Patience {
  /** How long a call waits for another one with the same key that is under way. */
  readonly waitMs: number;
  /** After how long an act that has not answered counts as one of a process that ended. */
  readonly lostMs: number;
}

const PATIENCE: Patience = { waitMs: 5_000, lostMs: 120_000 };
const LOOK_MS = 100;
/** How long an answer waits for its key to be settled. */
const NOTED_MS = 2_000;

/** How long a key is remembered. */
const KEPT = `interval '24 hours'`;

/**
 * Carries an act out once for each key of a caller. The key is claimed before the act and settled with what came of it:
 * an answer, or a refusal of the act itself; both are answered again for 24 hours. What failed here (5xx), and what was
 * refused before it began, leaves the key free. Each writing transaction of the act in the control database counts
 * itself at the key, and commits only where the claim is still its own. So where a process ends between the two, an act
 * of one such transaction was carried out or it was not, and is carried out now; of any other nobody can say, and that
 * is the answer: it is never carried out a second time. Throws IDEMPOTENCY_KEY_REUSED for another operation or input,
 * IDEMPOTENCY_KEY_IN_USE, IDEMPOTENCY_OUTCOME_UNKNOWN, IDEMPOTENCY_ANSWER_NOT_KEPT, and what the act throws, or threw
 * the first time.
 */
export async function once(
  control: pg.Pool,
  act: KeyedAct,
  carryOut: () => Promise<Answered>,
  onReplay: () => void,
  patience: Patience = PATIENCE,
): Promise<Answered> {
  const claim = randomUUID();
  const known = await claimOrKnown(control, act, claim, patience);
  if (known !== undefined) {
    onReplay();
    return answerOf(act, known);
  }
  let answer: Answered;
  try {
    answer = await withLast({ pool: control, work: (client) => countCommit(client, act, claim) }, carryOut);
  } catch (error) {
    if (isOutcome(error)) await settle(control, act, claim, { error: factsOf(error) });
    else await release(control, act, claim);
    throw error;
  }
  await faultPoint('act.answered');
  await settle(control, act, claim, act.secret ? null : answer);
  return answer;
}

/** Forgets keys that are older than they are kept. Answers how many. */
export async function forgetKeys(control: pg.Pool): Promise<number> {
  const { rowCount } = await control.query(
    `delete from portcullis_control.idempotency_key where begun_at < clock_timestamp() - ${KEPT}`,
  );
  return rowCount ?? 0;
}

type Kept = Answered | { readonly error: ErrorFacts } | null;

interface ErrorFacts {
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
}

interface KnownRow {
  readonly same: boolean;
  readonly settled: boolean;
  readonly begun_at: Date;
  readonly age_ms: number;
  readonly commits: number;
  readonly answer: Kept;
}

/** Undefined: the key is claimed now, and the act is to be carried out. Else it was settled. */
async function claimOrKnown(
  control: pg.Pool,
  act: KeyedAct,
  claim: string,
  { waitMs, lostMs }: Patience,
): Promise<KnownRow | undefined> {
  const deadline = performance.now() + waitMs;
  const hash = hashOf(act);
  for (;;) {
    if (await claimed(control, act, claim, hash)) return undefined;
    const known = await readKey(control, act, hash);
    // It was released in between: claim it again.
    if (known === undefined) continue;
    if (!known.same) throw reused(act);
    if (known.settled) return known;
    if (known.age_ms > lostMs) {
      if (!act.oneCommit) throw outcomeUnknown(act, known);
      if (known.commits > 0) throw answerLost(act, known);
      // It was not carried out, and cannot be any more once the claim is ours.
      if (await takenOver(control, act, claim)) return undefined;
      continue;
    }
    if (performance.now() >= deadline) throw inUse(act);
    await setTimeout(LOOK_MS);
  }
}

async function claimed(
  control: pg.Pool,
  { caller, key, operation }: KeyedAct,
  claim: string,
  hash: Buffer,
): Promise<boolean> {
  const { rowCount } = await control.query(
    `insert into portcullis_control.idempotency_key as known (caller, key, operation, input_sha256, claim)
     values ($1, $2, $3, $4, $5)
     on conflict (caller, key) do update
       set operation = excluded.operation, input_sha256 = excluded.input_sha256, claim = excluded.claim,
           begun_at = clock_timestamp(), settled_at = null, answer = null, commits = 0
       where known.begun_at < clock_timestamp() - ${KEPT}`,
    [caller, key, operation, hash, claim],
  );
  return rowCount === 1;
}

/** Takes the claim of a process that ended before it committed anything. */
async function takenOver(control: pg.Pool, { caller, key }: KeyedAct, claim: string): Promise<boolean> {
  const { rowCount } = await control.query(
    `update portcullis_control.idempotency_key set claim = $3, begun_at = clock_timestamp()
     where caller = $1 and key = $2 and settled_at is null and commits = 0`,
    [caller, key, claim],
  );
  return rowCount === 1;
}

/** Counts a transaction that has written something, in itself. Throws where the claim is another's by now. */
async function countCommit(client: pg.PoolClient, act: KeyedAct, claim: string): Promise<void> {
  // By itself: the update below would assign one.
  const { rows } = await client.query<{ wrote: boolean }>(
    'select pg_current_xact_id_if_assigned() is not null as wrote',
  );
  if (rows[0]?.wrote !== true) return;
  const { rowCount } = await client.query(
    `update portcullis_control.idempotency_key set commits = commits + 1
     where caller = $1 and key = $2 and claim = $3`,
    [act.caller, act.key, claim],
  );
  if (rowCount !== 1) throw inUse(act);
}

async function readKey(
  control: pg.Pool,
  { caller, key, operation }: KeyedAct,
  hash: Buffer,
): Promise<KnownRow | undefined> {
  const { rows } = await control.query<KnownRow>(
    `select operation = $3 and input_sha256 = $4 as same, settled_at is not null as settled, begun_at, commits, answer,
            extract(epoch from clock_timestamp() - begun_at)::float8 * 1000 as age_ms
     from portcullis_control.idempotency_key where caller = $1 and key = $2`,
    [caller, key, operation, hash],
  );
  return rows[0];
}

async function settle(
  control: pg.Pool,
  { caller, key }: KeyedAct,
  claim: string,
  answer: Kept,
): Promise<void> {
  await noted(() =>
    control.query(
      `update portcullis_control.idempotency_key set settled_at = clock_timestamp(), answer = $4
       where caller = $1 and key = $2 and claim = $3`,
      [caller, key, claim, answer === null ? null : storableJson(answer)],
    ),
  );
}

/** What failed here may be called again; but not an act that was carried out, and could not be answered. */
async function release(control: pg.Pool, { caller, key, oneCommit }: KeyedAct, claim: string): Promise<void> {
  await noted(() =>
    control.query(
      `delete from portcullis_control.idempotency_key
       where caller = $1 and key = $2 and claim = $3 and (commits = 0 or not $4)`,
      [caller, key, claim, oneCommit],
    ),
  );
}

/** What came of the act stands already: that this cannot be noted changes nothing about it, and a retry is told so. */
async function noted(note: () => Promise<unknown>): Promise<void> {
  await within(NOTED_MS, note, () => new Error('too late')).catch(() => undefined);
}

/** A refusal that the act itself came to. What was refused before it began may go better next time: a role is given. */
function isOutcome(error: unknown): error is PortcullisError {
  if (!(error instanceof PortcullisError)) return false;
  const { status } = ERRORS[error.code];
  return status === 404 || status === 409 || status === 422;
}

function factsOf({ code, message, hint, details }: PortcullisError): ErrorFacts {
  return { code, message, hint, details };
}

function answerOf({ key }: KeyedAct, { answer, begun_at }: KnownRow): Answered {
  if (answer === null) {
    throw new PortcullisError(
      'IDEMPOTENCY_ANSWER_NOT_KEPT',
      `the act with the key ${key} was carried out at ${begun_at.toISOString()}; its answer held a secret, which is not kept`,
      { hint: 'have a new one made: the same call with replace, under a new key', details: { key } },
    );
  }
  if (!('error' in answer)) return answer;
  const { code, message, hint, details } = answer.error;
  throw new PortcullisError(code as ErrorCode, message, { ...(hint !== undefined && { hint }), details });
}

function reused({ key }: KeyedAct): PortcullisError {
  return new PortcullisError(
    'IDEMPOTENCY_KEY_REUSED',
    `the key ${key} came with another operation or input before`,
    { hint: 'give each act a key of its own; the same key only to repeat the same call', details: { key } },
  );
}

function inUse({ key }: KeyedAct): PortcullisError {
  return new PortcullisError('IDEMPOTENCY_KEY_IN_USE', `an act with the key ${key} is under way`, {
    hint: 'repeat the call in a few seconds, with the same key',
    details: { key },
  });
}

function answerLost({ key }: KeyedAct, { begun_at }: KnownRow): PortcullisError {
  return new PortcullisError(
    'IDEMPOTENCY_ANSWER_NOT_KEPT',
    `the act with the key ${key} was carried out at ${begun_at.toISOString()}; its process ended before it answered`,
    {
      hint: 'it is not carried out again: look at what it did (portcullis audit list)',
      details: { key, begunAt: begun_at.toISOString() },
    },
  );
}

function outcomeUnknown({ key }: KeyedAct, { begun_at }: KnownRow): PortcullisError {
  return new PortcullisError(
    'IDEMPOTENCY_OUTCOME_UNKNOWN',
    `an act with the key ${key} began at ${begun_at.toISOString()}, and its process ended before it answered: whether it was carried out is unknown`,
    {
      hint: 'look at what is so now (portcullis audit list); then repeat the call under a new key if it is still wanted',
      details: { key, begunAt: begun_at.toISOString() },
    },
  );
}

function hashOf({ input }: KeyedAct): Buffer {
  return createHash('sha256').update(textOf(input)).digest();
}

/** What cannot be written canonically is refused by the operation's schema. */
function textOf(input: unknown): string {
  try {
    return canonicalJson(input);
  } catch {
    return JSON.stringify(input);
  }
}
