import { UNITS, unitsOf, type UnitLabel } from '../../kernel/words.js';
import type { Output } from '../api.js';
import { percent } from '../now/gate-cell.js';
import { span } from '../time.js';

export type Request = Output<'listApprovals'>['items'][number];

/** What a place is, and would be. */
export interface BeforeAfter {
  readonly place: string;
  readonly now: string;
  readonly then: string;
}

/** What is known of a version in a region, as it was put to whoever decides. */
export interface RegionSeen {
  readonly region: string;
  readonly permille: number;
  readonly runs: number;
  readonly changes: number;
  readonly trouble: string | undefined;
  readonly skipped: readonly string[];
  readonly verdicts: readonly (readonly [rule: string, verdict: string])[];
}

/** A request in the words of whoever decides on it. */
export interface Asked {
  readonly title: string;
  /** What approving it does. */
  readonly effect: string;
  readonly changes: readonly BeforeAfter[];
  /** Whom it reaches; undefined: the request does not say. */
  readonly reach: string | undefined;
  readonly regions: readonly RegionSeen[];
  readonly hash: string | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/** Reads a request's evidence. It is JSON of any release: what is not there is left out. */
export function askedOf({ action, evidence }: Request): Asked {
  const shown = objectOf(evidence['evidence']);
  const regions = listOf(shown['regions']).map(regionOf);
  const common = {
    regions,
    reach: reachOf(shown, labelOf(evidence['unitLabel'])),
    hash: textOf(evidence['evidenceHash']),
  };
  const version = textOf(shown['version']) ?? textOf(evidence['version']) ?? 'the version';
  const wave = textOf(evidence['wave']) ?? '';
  const shareIn = (region: string): string => {
    const seen = regions.find((each) => each.region === region);
    return seen === undefined ? 'not begun' : percent(seen.permille);
  };
  const steps = Object.entries(objectOf(objectOf(shown['reach'])['permille'])).map(([place, permille]) => ({
    place,
    now: shareIn(place),
    then: percent(numberOf(permille)),
  }));
  switch (action) {
    case 'begin-wave':
      return {
        ...common,
        title: `Begin wave ${wave}`,
        effect: `${version} begins wave ${wave} when the rollout is next looked at, unless the evidence is worse by then.`,
        changes: steps,
      };
    case 'skip-bake': {
      const bakes = listOf(evidence['bakes'])
        .map((bake) => `${percent(numberOf(bake['permille']))} in ${textOf(bake['region']) ?? ''}`)
        .join(', ');
      return {
        ...common,
        title: 'Skip a bake',
        effect: `The rollout goes on without the bake of ${bakes}. It counts as skipped for good, never as passed.`,
        changes: steps,
      };
    }
    case 'break-glass': {
      const then = `${percent(numberOf(evidence['permille']))} for ${span(numberOf(evidence['forMs']))}`;
      return {
        ...common,
        title: 'Break-glass',
        effect: `${version} may act there at once, without the evidence that a rollout asks for.`,
        changes: textsOf(evidence['regions']).map((place) => ({ place, now: shareIn(place), then })),
      };
    }
    case 'rearm': {
      const gates = evidence['gates'] === undefined ? [evidence] : listOf(evidence['gates']);
      return {
        ...common,
        title: 'Re-arm',
        effect:
          evidence['onRearm'] === 'once'
            ? 'The gate is held until its flag opens it; the run that it missed is made up for once.'
            : 'The gate is held until its flag opens it; runs that it missed are not made up for.',
        changes: gates.map((gate) => ({
          place: textOf(gate['region']) ?? '',
          now: `killed: ${textOf(gate['killedFor']) ?? ''}`,
          then: 'held until its flag opens it',
        })),
      };
    }
    case 'lift-quarantine':
      return {
        ...common,
        title: 'Lift a quarantine',
        effect: `${version} may be given a share again, in every region.`,
        changes: [{ place: version, now: 'quarantined everywhere', then: 'not quarantined' }],
      };
    default:
      return { ...common, title: action, effect: 'What it asks for is in its evidence.', changes: [] };
  }
}

function regionOf(seen: Json): RegionSeen {
  return {
    region: textOf(seen['region']) ?? '',
    permille: numberOf(seen['permille']),
    runs: numberOf(seen['runs']),
    changes: numberOf(seen['changes']),
    trouble: textOf(seen['trouble']),
    skipped: listOf(seen['skipped']).map(
      (each) =>
        `step ${numberOf(each['step']) + 1} by ${textOf(each['by']) ?? ''}: ${textOf(each['reason']) ?? ''}`,
    ),
    verdicts: Object.entries(objectOf(seen['verdicts'])).map(([rule, verdict]) => [
      rule,
      textOf(verdict) ?? '',
    ]),
  };
}

function reachOf(shown: Json, label: UnitLabel): string | undefined {
  if (shown['reach'] === undefined) return undefined;
  const { units } = objectOf(shown['reach']);
  return typeof units === 'number'
    ? `about ${unitsOf(units, label)}`
    : `${label.many} that could not be counted`;
}

function labelOf(value: unknown): UnitLabel {
  const { one, many } = objectOf(value);
  return { one: textOf(one) ?? UNITS.one, many: textOf(many) ?? UNITS.many };
}

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}
const listOf = (value: unknown): Json[] => (Array.isArray(value) ? value.map(objectOf) : []);
const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0);
