import { PortcullisError, messageOf } from '../kernel/errors.js';
import { within } from '../kernel/within.js';
import { isUnreachable } from '../postgres/pool.js';
import type { RegionDatabase, RegionDatabases } from './region-database.js';

/** A region database that could not be asked. */
export interface UnreachableDatabase {
  readonly database: string;
  readonly reason: string;
}

/** What every region database said, and which could not be asked. */
export interface RegionAnswers<T> {
  readonly answers: readonly { readonly regionDatabase: RegionDatabase; readonly answer: T }[];
  readonly unreachable: readonly UnreachableDatabase[];
}

/** How long one database may take: one behind a lost network must not keep the others' answers back. */
const ANSWER_MS = 10_000;

/**
 * Asks every region database the same, all at once. One that cannot be reached, or is silent for too long, is
 * named in the answer and keeps nothing else back; when none can be reached, its error is thrown. Any other
 * error is thrown.
 */
export async function queryRegions<T>(
  regionDatabases: RegionDatabases,
  ask: (regionDatabase: RegionDatabase) => Promise<T>,
  answerMs = ANSWER_MS,
): Promise<RegionAnswers<T>> {
  const all = regionDatabases.all();
  const asked = await Promise.allSettled(
    all.map(async (regionDatabase) => ({
      regionDatabase,
      answer: await within(
        answerMs,
        () => ask(regionDatabase),
        () => silence(regionDatabase, answerMs),
      ),
    })),
  );
  const answers = [];
  const unreachable = [];
  for (const [at, outcome] of asked.entries()) {
    if (outcome.status === 'fulfilled') answers.push(outcome.value);
    else if (all.length > 1 && isUnreachable(outcome.reason)) {
      unreachable.push({ database: all[at]?.name ?? '', reason: messageOf(outcome.reason) });
    } else throw outcome.reason;
  }
  const silent = asked.find((outcome) => outcome.status === 'rejected');
  if (answers.length === 0 && silent) throw silent.reason;
  return { answers, unreachable };
}

function silence({ name }: RegionDatabase, ms: number): PortcullisError {
  return new PortcullisError('DATABASE_UNREACHABLE', `${name} did not answer within ${ms / 1_000} s`, {
    hint: 'check that the server runs and that the network reaches it',
  });
}
