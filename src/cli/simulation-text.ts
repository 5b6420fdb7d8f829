import { time } from '../base/words.js';
import type { Simulation } from '../rollout/simulate.js';
import type { Voice } from './context.js';
import { counts, share } from './wording.js';

const STEPS = [
  'wave',
  'region',
  'share',
  'starts',
  'ends',
  'runs',
  'organisations',
  'about',
  'most changes of a run',
];
const RULES = ['rule', 'kind', 'most changes first', 'why'];

/** A rollout on paper, for a person. */
export function simulationText(voice: Voice, { steps, rules, ends, approvals }: Simulation): string {
  const table = voice.table(
    STEPS.map((title) => ({ title })),
    steps.map((step) => [
      step.wave,
      step.region,
      share(step.permille),
      time(step.starts),
      step.ends === null ? { text: 'never: too few changes', tone: 'warning' as const } : time(step.ends),
      step.runs ?? '–',
      step.organisations,
      counts(step.rows),
      counts(Object.fromEntries(Object.entries(step.mostPerRun).map(([kind, most]) => [kind, most ?? 0]))),
    ]),
  );
  const reach = voice.table(
    RULES.map((title) => ({ title })),
    rules.map(({ rule, kind, most, why }) => [rule, kind, most ?? 'what the caps let pass', why]),
  );
  const last = ends === null ? 'It would never end on these figures.' : `It would end at ${time(ends)}.`;
  const people =
    approvals.length === 0
      ? ''
      : ` Not counted: the time that people take to approve ${approvals.join(', ')}.`;
  return `${table}\n${last}${people}\n\n${reach}`;
}
