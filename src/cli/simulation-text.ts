import { countOf, number, time } from '../kernel/words.js';
import type { OutcomePower } from '../guard/outcome-power.js';
import type { Cell } from './table.js';
import type { SimulatedStep, Simulation } from '../rollout/simulate.js';
import type { Voice } from './context.js';
import { counts, share } from './wording.js';

/** With its times as they were reckoned, or as JSON has them. */
type Shown<Of extends { readonly ends: Date | null }> = Omit<Of, 'ends' | 'starts' | 'steps'> & {
  readonly ends: Date | string | null;
};

const STEPS = [
  'wave',
  'region',
  'share',
  'starts',
  'ends',
  'runs',
  'units',
  'about',
  'most changes of a run',
];
const FINDS = ['wave', 'region', 'share', 'rule', 'a fault of'];
const RULES = ['rule', 'kind', 'most changes first', 'why'];

/** A rollout on paper, for a person. */
export function simulationText(
  voice: Voice,
  {
    steps,
    rules,
    ends,
    approvals,
  }: Shown<Simulation> & {
    readonly steps: readonly (Shown<SimulatedStep> & { readonly starts: Date | string | null })[];
  },
): string {
  const table = voice.table(
    STEPS.map((title) => ({ title })),
    steps.map((step) => [
      step.wave,
      step.region,
      share(step.permille),
      step.starts === null ? '–' : time(step.starts),
      step.ends !== null
        ? time(step.ends)
        : step.starts === null
          ? '–'
          : { text: 'never: too few changes', tone: 'warning' as const },
      step.runs ?? '–',
      step.units,
      counts(step.rows),
      mostText(step.mostPerRun),
    ]),
  );
  const reach = voice.table(
    RULES.map((title) => ({ title })),
    rules.map(({ rule, kind, most, why }) => [rule, kind, most ?? 'what the caps let pass', why]),
  );
  const finds = steps.flatMap((step) =>
    step.outcomes.map((power) => [
      ...[step.wave, step.region, share(step.permille), power.rule],
      powerText(power),
    ]),
  );
  const found =
    finds.length === 0
      ? ''
      : `\n${voice.table(
          FINDS.map((title) => ({ title })),
          finds,
        )}`;
  const stuck = steps.find((step) => step.ends === null);
  const last =
    ends === null
      ? `At this rate the rollout never completes${stuck ? `: too few changes in ${stuck.region} at ${share(stuck.permille)}` : ''}.`
      : `It would end at ${time(ends)}.`;
  const people =
    approvals.length === 0
      ? ''
      : ` Not counted: the time that people take to approve ${approvals.join(', ')}.`;
  return `${table}\n${voice.sentence(`${last}${people}`)}\n${reach}${found}`;
}

/** What an outcome rule can find in a step, at best. */
function powerText({ factor, finds, events, days }: OutcomePower): Cell {
  switch (finds) {
    case 'nothing':
      return {
        text: 'misses faults of any size: too few units of one version to compare; other rules still apply',
        tone: 'warning',
      };
    case 'missed':
      return { text: `${factor} × is missed: too few units`, tone: 'warning' };
    case 'found': {
      const when = days === null ? 'no outcome reported yet' : `${daysText(days)} at the present rate`;
      return `${factor} × is found after about ${number(Math.ceil(events ?? 0))} events: ${when}`;
    }
  }
}

function daysText(days: number): string {
  return days < 1 ? 'less than a day' : countOf(Math.ceil(days), 'day');
}

/** What nothing limits is said before the figures: it must not read as none. */
function mostText(mostPerRun: SimulatedStep['mostPerRun']): string {
  const entries = Object.entries(mostPerRun);
  const unlimited = entries.filter(([, most]) => most === null).map(([kind]) => `${kind} without limit`);
  const limited = counts(Object.fromEntries(entries.flatMap(([kind, most]) => (most ? [[kind, most]] : []))));
  return unlimited.length === 0 ? limited : [...unlimited, ...(limited === '–' ? [] : [limited])].join(', ');
}
