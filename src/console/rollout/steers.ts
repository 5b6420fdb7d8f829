import type { Me, Output } from '../api.js';
import { percent } from '../now/gate-cell.js';
import type { BeforeAfter } from '../inbox/asked.js';

export type Rollout = Output<'getRollout'>;

export type Steer = 'pause' | 'resume' | 'abort' | 'skip';

interface SteerWords {
  readonly name: string;
  readonly action: Me['may'][number]['action'];
  readonly command: string;
  readonly effect: string;
}

export const STEERS: Readonly<Record<Steer, SteerWords>> = {
  pause: {
    name: 'Pause',
    action: 'kill',
    command: 'pause',
    effect: 'Every share stays as it is until somebody resumes; a rule that fails still aborts.',
  },
  resume: {
    name: 'Resume',
    action: 'set-flag',
    command: 'resume',
    effect: 'It goes on; shares that were changed by hand are set again.',
  },
  skip: {
    name: 'Skip bakes',
    action: 'skip-bake',
    command: 'promote',
    effect: 'A second person decides. What is skipped stands as skipped for good, never as passed.',
  },
  abort: {
    name: 'Abort',
    action: 'kill',
    command: 'abort',
    effect: 'The version is rolled back to zero everywhere, at once. This cannot be undone.',
  },
};

const partsOf = ({ waves }: Rollout) => waves.flatMap(({ regions }) => regions);

/** Why that cannot be done as the rollout stands; undefined: it can. The server decides all the same. */
export function whyNotSteer(rollout: Rollout, steer: Steer): string | undefined {
  const { status } = rollout;
  if (status !== 'running' && status !== 'paused') return `the rollout is ${status}.`;
  if (steer === 'pause' && status === 'paused') return 'it is paused already.';
  if (steer === 'resume' && status === 'running') return 'it is running.';
  if (steer === 'skip' && !partsOf(rollout).some(({ bake }) => bake !== null)) return 'nothing bakes now.';
  return undefined;
}

/** What it would change. */
export function changesOf(rollout: Rollout, steer: Steer): BeforeAfter[] {
  const parts = partsOf(rollout);
  if (steer === 'pause') return [{ place: rollout.job, now: rollout.status, then: 'paused' }];
  if (steer === 'resume') return [{ place: rollout.job, now: rollout.status, then: 'running' }];
  if (steer === 'skip') {
    return parts
      .filter(({ bake }) => bake !== null)
      .map(({ region, permille }) => ({
        place: region,
        now: `${percent(permille)} bakes`,
        then: 'skipped, if another person agrees',
      }));
  }
  return parts
    .filter(({ permille }) => permille > 0)
    .map(({ region, permille, units }) => ({
      place: region,
      now: `${percent(permille)}${units === null ? '' : ` of ${units.toLocaleString('en')} ${rollout.unitLabel.many}`}`,
      then: percent(0),
    }));
}
