import type pg from 'pg';
import { signOut, stillHold } from '../access/sessions.js';
import { hashOf, type TokenHolder } from '../access/tokens.js';
import { startPoller } from '../kernel/poller.js';
import type { Listening } from './listen.js';

/** What a caller asks for: to stop something, or to read. */
export type Wanted = 'stop' | 'read';

/** For how long a token counts as known after the control database last vouched for it. A session: as long as it would last. */
const TOKEN_KNOWN_MS: Readonly<Record<Wanted, number>> = {
  stop: 24 * 60 * 60 * 1000,
  read: 8 * 60 * 60 * 1000,
};
/** The most that are remembered; who was verified longest ago goes first. */
const MOST = 1_000;
/** How often the control database is asked who of them still holds. */
const RECHECK_MS = 30_000;
/** For so long after a silence nobody who is known waits for another one. */
const SILENT_MS = 3_000;

interface Known {
  readonly holder: TokenHolder;
  readonly atMs: number;
}

/**
 * Whose tokens and sessions this process has verified of late, by their hashes: so that they can stop something, and read
 * what the region databases answer, while the control database does not. While it does, it is asked every 30 s who still
 * holds: what was ended through another process is known here for no longer. The secrets themselves are not kept.
 */
export class KnownCallers {
  readonly #known = new Map<string, Known>();
  /** Whoever signed out here while the control database did not answer: it has yet to hear of it. */
  readonly #ending = new Map<string, TokenHolder>();
  readonly #nowMs: () => number;
  #silentAtMs = -Infinity;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** It was verified now. */
  note(secret: string, holder: TokenHolder): void {
    const hash = keyOf(secret);
    this.#known.delete(hash);
    this.#known.set(hash, { holder, atMs: this.#nowMs() });
    this.#silentAtMs = -Infinity;
    keepTo(MOST, this.#known);
  }

  /** It was refused, or has ended: it is not known any more. */
  forget(secret: string): void {
    this.#known.delete(keyOf(secret));
  }

  /** Somebody signs out whose session cannot be ended yet: nothing is done with it here from now on. */
  endLater(secret: string): void {
    const hash = keyOf(secret);
    const known = this.#known.get(hash);
    if (known === undefined) return;
    this.#known.delete(hash);
    this.#ending.set(hash, known.holder);
    keepTo(MOST, this.#ending);
  }

  isEnding(secret: string): boolean {
    return this.#ending.has(keyOf(secret));
  }

  /** The control database did not answer. */
  noteSilence(): void {
    this.#silentAtMs = this.#nowMs();
  }

  /** Whether the control database did not answer a moment ago. */
  get isSilent(): boolean {
    return this.#nowMs() - this.#silentAtMs < SILENT_MS;
  }

  find(secret: string, wanted: Wanted): TokenHolder | undefined {
    const known = this.#known.get(keyOf(secret));
    if (known === undefined) return undefined;
    const { holder, atMs } = known;
    const longest = holder.session?.leftMs ?? TOKEN_KNOWN_MS[wanted];
    return this.#nowMs() - atMs <= longest ? { ...holder, remembered: true } : undefined;
  }

  /** Forgets who holds no longer, or as somebody else, and ends what was to end. Throws where the control database is silent. */
  async recheck(control: pg.Pool): Promise<void> {
    for (const [hash, holder] of [...this.#ending]) {
      await signOut(control, holder);
      this.#ending.delete(hash);
    }
    const asked = [...this.#known];
    if (asked.length === 0) return;
    const atMs = this.#nowMs();
    const now = await stillHold(
      control,
      asked.map(([, { holder }]) => holder),
    );
    for (const [hash, known] of asked) {
      // Whoever was verified meanwhile, or has gone, is no matter of this answer.
      if (this.#known.get(hash) !== known) continue;
      const { holder } = known;
      const held = now.get(holder.session?.id ?? holder.id);
      if (held === undefined || !isSame(held, holder)) this.#known.delete(hash);
      else this.#known.set(hash, { holder: withLeft(holder, held.leftMs), atMs });
    }
  }
}

/** Has them rechecked as long as that listens. */
export function keepRechecking(known: KnownCallers, control: pg.Pool, listening: Listening): Listening {
  // While the control database is silent, what each was known for is the bound.
  const rechecking = startPoller(
    RECHECK_MS,
    () => known.recheck(control),
    () => undefined,
    { restFirst: true },
  );
  return {
    url: listening.url,
    close: async () => {
      await rechecking.stop();
      await listening.close();
    },
  };
}

function isSame(
  one: Pick<TokenHolder, 'role' | 'regions'>,
  other: Pick<TokenHolder, 'role' | 'regions'>,
): boolean {
  return JSON.stringify([one.role, one.regions]) === JSON.stringify([other.role, other.regions]);
}

function withLeft(holder: TokenHolder, leftMs: number | null): TokenHolder {
  if (holder.session === undefined || leftMs === null) return holder;
  return { ...holder, session: { ...holder.session, leftMs } };
}

function keepTo(most: number, map: Map<string, unknown>): void {
  const [oldest] = map.keys();
  if (map.size > most && oldest !== undefined) map.delete(oldest);
}

function keyOf(secret: string): string {
  return hashOf(secret).toString('base64');
}
