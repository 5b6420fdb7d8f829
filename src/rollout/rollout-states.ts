/**
 * A rollout's life, as a table: each status, whether it is under way (of which a job has one at most), what it
 * means, and what may follow.
 */
export const ROLLOUT_STATES = {
  running: {
    underWay: true,
    meaning: 'advances by itself, step by step, as the evidence allows',
    next: ['paused', 'completed', 'aborted'],
  },
  paused: {
    underWay: true,
    meaning: 'keeps every share as it is until a person resumes it; a failed rule still aborts it',
    next: ['running', 'aborted'],
  },
  completed: {
    underWay: false,
    meaning: 'the version has the last share in every region; its end says which bakes were skipped',
    next: [],
  },
  aborted: { underWay: false, meaning: 'the version was rolled back to zero everywhere', next: [] },
} as const satisfies Record<string, { underWay: boolean; meaning: string; next: readonly string[] }>;

export type RolloutStatus = keyof typeof ROLLOUT_STATES;

/**
 * What a region's part of a rollout does:
 *
 * | state     | meaning                                                  | leaves it when                            |
 * | --------- | -------------------------------------------------------- | ----------------------------------------- |
 * | `waiting` | its wave has not begun; the version has nothing here     | its wave begins                           |
 * | `baking`  | the version has a step's share, and evidence is gathered | the evidence is full: next step, or done  |
 * | `held`    | something must be put right first                        | it is                                     |
 * | `ready`   | it may move as soon as the rollout may                   | the rollout moves it                      |
 * | `done`    | the version has its last share here, baked or skipped    | never, but for an abort                   |
 */
export const PART_STATES = ['waiting', 'baking', 'held', 'ready', 'done'] as const;
export type PartState = (typeof PART_STATES)[number];

/** The statuses of rollouts that are under way. */
export const UNDER_WAY = (Object.keys(ROLLOUT_STATES) as RolloutStatus[]).filter(
  (status) => ROLLOUT_STATES[status].underWay,
);
