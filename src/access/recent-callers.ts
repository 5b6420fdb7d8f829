import { hashOf, type TokenHolder } from './tokens.js';

/** How long somebody counts as known, after their token or session was last verified. */
const KNOWN_MS = 24 * 60 * 60 * 1000;
/** The most that are remembered; who was verified longest ago goes first. */
const MOST = 1_000;

/**
 * Whose tokens and sessions this process has verified of late, by their hashes: so that they can stop something while
 * the control database does not answer. One that was revoked through another process may be among them, for a day at
 * most: it can stop, and nothing else. The secrets themselves are not kept.
 */
export class RecentCallers {
  readonly #known = new Map<string, { readonly holder: TokenHolder; readonly atMs: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** It was verified now. */
  note(secret: string, holder: TokenHolder): void {
    const hash = keyOf(secret);
    this.#known.delete(hash);
    this.#known.set(hash, { holder, atMs: this.#nowMs() });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST && oldest !== undefined) this.#known.delete(oldest);
  }

  /** It was refused: it is not known any more. */
  forget(secret: string): void {
    this.#known.delete(keyOf(secret));
  }

  find(secret: string): TokenHolder | undefined {
    const known = this.#known.get(keyOf(secret));
    return known !== undefined && this.#nowMs() - known.atMs <= KNOWN_MS ? known.holder : undefined;
  }
}

function keyOf(secret: string): string {
  return hashOf(secret).toString('base64');
}
