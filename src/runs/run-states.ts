/**
 * A run's life, as a table: each status, whether a worker is at it, what it means, and what may follow.
 *
 * A plan and its judgement commit together, so there is no status between planned and judged. A run whose plan is judged
 * is `planning` until it begins to apply it, or ends. `held` and
 * `skipped` are the two that a slot may leave again, when a policy catches a missed slot up; but not where it was
 * the guard that held the plan.
 */
export const RUN_STATES = {
  planning: {
    active: true,
    meaning: 'the job is proposing changes; nothing is written',
    next: ['applying', 'succeeded', 'planned', 'held', 'refused', 'killed', 'failed'],
  },
  applying: {
    active: true,
    meaning: 'the judged plan is being written, batch by batch',
    next: ['succeeded', 'stopped', 'killed', 'failed'],
  },
  succeeded: { active: false, meaning: 'every change was applied or recorded as a conflict', next: [] },
  planned: { active: false, meaning: 'a dry run: planned and judged, nothing written', next: [] },
  held: {
    active: false,
    meaning:
      'the gate was not open, or a rule could not vouch for the plan, or a value could not be reserved; nothing was written',
    next: ['planning'],
  },
  refused: { active: false, meaning: 'the plan was not allowed; nothing was written', next: [] },
  stopped: { active: false, meaning: 'the gate closed midway; what was applied is in the journal', next: [] },
  killed: { active: false, meaning: 'killed; what was applied before is in the journal', next: [] },
  failed: { active: false, meaning: 'an error ended it; what was applied is in the journal', next: [] },
  skipped: { active: false, meaning: 'the slot came while another run was active', next: ['planning'] },
} as const satisfies Record<string, { active: boolean; meaning: string; next: readonly string[] }>;

export type RunStatus = keyof typeof RUN_STATES;

/** The statuses in which a run is over. */
export type FinalStatus = Exclude<RunStatus, 'planning' | 'applying'>;

/** The statuses from which a run may go to `status`. */
export function before(status: RunStatus): RunStatus[] {
  return (Object.keys(RUN_STATES) as RunStatus[]).filter((from) =>
    (RUN_STATES[from].next as readonly string[]).includes(status),
  );
}
