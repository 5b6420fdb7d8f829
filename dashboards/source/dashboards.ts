import type { Dashboard } from './dashboard.js';
import { incident } from './incident.js';
import { killSwitch } from './kill-switch.js';
import { rollout } from './rollout.js';
import { runs } from './runs.js';

/** Every dashboard there is. */
export const DASHBOARDS: readonly Dashboard[] = [rollout, runs, killSwitch, incident];
