import type { Product } from '../products.js';

/**
 * A stretch of time, and by which clock: `real` is what a computer took here, `virtual` is what the world's own
 * clock says of people and schedules.
 */
export interface Span {
  readonly ms: number;
  readonly clock: 'real' | 'virtual';
}

/** What a faulty job has done, as long as nobody has put it right. */
export interface Harm {
  /** Accounts under an organisation that never asked for the domain they were claimed by. */
  readonly wronglyClaimed: number;
  /** Domains verified that nobody asked for. */
  readonly wronglyVerified: number;
  /** Users who cannot log in, by product; each may use several. */
  readonly lockedOut: Readonly<Record<Product, number>>;
  /** Where, and for how many organisations, a domain was verified or an account claimed that nobody asked for. */
  readonly regionsTouched: number;
  readonly organisationsTouched: number;
}

/** How things stood at a minute of the world's clock; 0 is when the faulty version was first due. */
export interface Reading {
  readonly minute: number;
  readonly wronglyClaimed: number;
}

/** What became of a world. */
export interface WorldOutcome extends Harm {
  /** In a sentence, what stands between the faulty version and the data. */
  readonly guarded: string;
  /** Who or what noticed, in its own words. */
  readonly noticedBy: string;
  /** From the faulty version's first start until somebody or something noticed; null where there was nothing to notice. */
  readonly detect: Span | null;
  /** From there until nothing of it could be written any more. */
  readonly stop: Span;
  /** What putting the data back took a computer; finding out what to put back is not in it. */
  readonly restore: Span | null;
  /** The rows that this wrote. */
  readonly rowsRestored: number;
  /** Edits by users, since the nightly snapshot, that are gone after all is over. */
  readonly editsLost: number;
  /** Rows of the job's tables that differ in any column from what they were, with users' edits on top. */
  readonly rowsNotAsBefore: number;
  readonly readings: readonly Reading[];
}

export interface WorldResult extends WorldOutcome {
  readonly name: string;
}

export interface ReplayResult {
  readonly accounts: number;
  readonly organisations: number;
  readonly regions: readonly string[];
  readonly seed: number;
  /** The full versions: the stable one that made the history, and the faulty one. */
  readonly stableVersion: string;
  readonly faultyVersion: string;
  /** Runs of the stable version before the incident, in all regions together. */
  readonly healthyRuns: number;
  readonly worlds: readonly WorldResult[];
  readonly tookMs: number;
}
