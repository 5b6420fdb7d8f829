import { PortcullisError, messageOf } from '../kernel/errors.js';
import { within } from '../kernel/within.js';
import { isUnreachable } from '../postgres/pool.js';
import type { RegionPlane, RegionPlanes } from './region-plane.js';

/** A region database that could not be asked. */
export interface UnreachablePlane {
  readonly database: string;
  readonly reason: string;
}

/** What every region database said, and which could not be asked. */
export interface PlaneAnswers<T> {
  readonly answers: readonly { readonly plane: RegionPlane; readonly answer: T }[];
  readonly unreachable: readonly UnreachablePlane[];
}

/** How long one database may take: one behind a lost network must not keep the others' answers back. */
const ANSWER_MS = 10_000;

/**
 * Asks every region database the same, all at once. One that cannot be reached, or is silent for too long, is
 * named in the answer and keeps nothing else back; when none can be reached, its error is thrown. Any other
 * error is thrown.
 */
export async function askPlanes<T>(
  planes: RegionPlanes,
  ask: (plane: RegionPlane) => Promise<T>,
  answerMs = ANSWER_MS,
): Promise<PlaneAnswers<T>> {
  const all = planes.all();
  const asked = await Promise.allSettled(
    all.map(async (plane) => ({
      plane,
      answer: await within(
        answerMs,
        () => ask(plane),
        () => silence(plane, answerMs),
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

function silence({ name }: RegionPlane, ms: number): PortcullisError {
  return new PortcullisError('DATABASE_UNREACHABLE', `${name} did not answer within ${ms / 1_000} s`, {
    hint: 'check that the server runs and that the network reaches it',
  });
}
