import Sequencer from '@jest/test-sequencer';

/** How early the files of a kind begin: a long one that begins last is waited for alone. */
const RANKS = { race: 0, real: 0, db: 1, http: 1 };
const rankOf = ({ context }) => RANKS[context.config.displayName.name] ?? 2;

/**
 * The order of a machine on which no test has run yet: Jest knows no durations there, and goes by the sizes of files.
 * Where it knows them, it goes by those.
 */
export default class LongKindsFirst extends Sequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    return sorted.some(({ duration }) => duration !== undefined)
      ? sorted
      : sorted.sort((one, other) => rankOf(one) - rankOf(other));
  }
}
