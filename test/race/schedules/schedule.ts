import { Random } from './random.js';

/** The principals of a schedule; who may do what is src/access/roles.ts's. */
export type Name = 'ann' | 'bob' | 'cat' | 'dan' | 'eve';

/** A version's share of a flag, in thousandths, candidate first; empty: the flag is off. */
export type Shares = readonly (readonly [version: number, permille: number])[];

/** How many fault points a worker passes before it pauses at the next; 'all': it does not pause. */
export type Points = number | 'all';

export type Kill = { readonly region: number } | { readonly version: number } | 'all';

/** One thing that happens. Regions, workers, versions and slots are numbers; one without an object does nothing. */
export type Step =
  /** The flag changes; the workers named hear of it and carry it to the gate. */
  | {
      readonly do: 'flag';
      readonly region: number;
      readonly shares: Shares;
      readonly heardBy: readonly number[];
    }
  /** A worker hears what the flag is now. */
  | { readonly do: 'hear'; readonly worker: number; readonly region: number }
  /** A worker's flags go silent. */
  | { readonly do: 'stale'; readonly worker: number; readonly region: number }
  /** A worker carries what it has heard last, however old, to the gate. */
  | { readonly do: 'reconcile'; readonly worker: number; readonly region: number }
  | {
      readonly do: 'run' | 'catch-up';
      readonly worker: number;
      readonly region: number;
      readonly version: number;
      readonly slot: number;
      readonly points: Points;
    }
  | { readonly do: 'proceed'; readonly worker: number; readonly points: Points }
  | { readonly do: 'crash'; readonly worker: number }
  | { readonly do: 'leases end' }
  | { readonly do: 'take over'; readonly worker: number; readonly points: Points }
  /** Impatient: batches in flight are ended at once, as those of a paused process are after the grace. */
  | { readonly do: 'kill'; readonly what: Kill; readonly by: Name; readonly impatient: boolean }
  | { readonly do: 'ask re-arm'; readonly region: number; readonly by: Name }
  | { readonly do: 'ask lift'; readonly version: number; readonly by: Name }
  /** The newest request but `back`. */
  | { readonly do: 'decide'; readonly back: number; readonly by: Name; readonly approve: boolean }
  | { readonly do: 'permit lapses'; readonly region: number }
  | { readonly do: 'edit'; readonly region: number; readonly organisation: number; readonly edit: Edit }
  /** Takes the newest run but `back` back. */
  | { readonly do: 'restore'; readonly worker: number; readonly back: number; readonly points: Points };

export type Edit = 'release' | 'exclude' | 'rename' | 'backdate' | 'rename one';

export interface Schedule {
  readonly seed: number;
  readonly regions: number;
  readonly lanes: number;
  readonly batch: number;
  /** At most so many claims in a run; undefined: no cap. */
  readonly cap: number | undefined;
  readonly steps: readonly Step[];
}

export const WORKERS = 2;
export const VERSIONS = 2;
export const ORGANISATIONS = 4;
export const ACCOUNTS_EACH = 3;

const SHARES: readonly Shares[] = [
  [[0, 1000]],
  [[0, 1000]],
  [[0, 300]],
  [[0, 700]],
  [
    [1, 400],
    [0, 600],
  ],
  [[1, 1000]],
  [],
];

const EDITS: readonly Edit[] = ['release', 'exclude', 'exclude', 'rename', 'backdate', 'rename one'];

const NAMES: readonly Name[] = ['ann', 'ann', 'bob', 'bob', 'cat', 'cat', 'dan', 'eve'];

/** The schedule of a seed: a flag that is on, a run that has begun, and then whatever comes. */
export function scheduleOf(seed: number): Schedule {
  const random = new Random(seed);
  const regions = random.chance(25) ? 2 : 1;
  const lanes = random.chance(25) ? 2 : 1;
  const batch = 2 + random.below(2);
  const cap = random.chance(15) ? 5 + random.below(8) : undefined;
  const opening: Step[] = Array.from({ length: regions }, (_, region) => ({
    do: 'flag',
    region,
    shares: random.pick(SHARES.slice(0, 5)),
    heardBy: [0, 1],
  }));
  const count = 7 + random.below(7);
  const steps = Array.from({ length: count }, () => stepsOf(random, regions))
    .flat()
    .slice(0, count);
  const first: Step = { do: 'run', worker: 0, region: 0, version: 0, slot: 0, points: pointsOf(random) };
  return { seed, regions, lanes, batch, cap, steps: [...opening, first, ...steps] };
}

function pointsOf(random: Random): Points {
  return random.chance(20) ? 'all' : random.below(random.chance(50) ? 6 : 24);
}

/** Mostly one step; now and then a few that only together lead somewhere, whatever is under way. */
function stepsOf(random: Random, regions: number): Step[] {
  const worker = random.below(WORKERS);
  const region = random.below(regions);
  const make = random.weighted<() => Step[]>([
    [72, () => [stepOf(random, regions)]],
    [
      12,
      () => [
        { do: 'leases end' },
        { do: 'take over', worker, points: random.below(12) },
        { do: 'proceed', worker: 1 - worker, points: pointsOf(random) },
      ],
    ],
    [
      6,
      () => [
        { do: 'kill', what: { region }, by: random.pick(NAMES), impatient: random.chance(40) },
        { do: 'ask re-arm', region, by: random.pick(NAMES) },
        { do: 'decide', back: 0, by: random.pick(NAMES), approve: true },
        { do: 'reconcile', worker, region },
      ],
    ],
    [
      4,
      () => [
        { do: 'restore', worker, back: 0, points: random.below(10) },
        {
          do: 'kill',
          what: random.pick<Kill>([{ region }, 'all']),
          by: 'ann',
          impatient: random.chance(40),
        },
        { do: 'proceed', worker, points: pointsOf(random) },
      ],
    ],
    [
      6,
      () => [
        { do: 'edit', region, organisation: random.below(ORGANISATIONS), edit: random.pick(EDITS) },
        { do: 'restore', worker, back: 0, points: pointsOf(random) },
      ],
    ],
  ]);
  return make();
}

function stepOf(random: Random, regions: number): Step {
  const region = random.below(regions);
  const worker = random.below(WORKERS);
  const version = random.chance(75) ? 0 : 1;
  const by = random.pick(NAMES);
  const make = random.weighted<() => Step>([
    [
      3,
      () => ({
        do: 'flag',
        region,
        shares: random.pick(SHARES),
        heardBy: random.pick([[0], [1], [0, 1], []]),
      }),
    ],
    [1, () => ({ do: 'hear', worker, region })],
    [1, () => ({ do: 'stale', worker, region })],
    [3, () => ({ do: 'reconcile', worker, region })],
    [4, () => ({ do: 'run', worker, region, version, slot: random.below(4), points: pointsOf(random) })],
    [1, () => ({ do: 'catch-up', worker, region, version, slot: random.below(4), points: pointsOf(random) })],
    [5, () => ({ do: 'proceed', worker, points: pointsOf(random) })],
    [2, () => ({ do: 'crash', worker })],
    [2, () => ({ do: 'leases end' })],
    [3, () => ({ do: 'take over', worker, points: pointsOf(random) })],
    [
      4,
      () => ({
        do: 'kill',
        what: random.weighted<Kill>([
          [6, { region }],
          [2, { version }],
          [1, 'all'],
        ]),
        by,
        impatient: random.chance(40),
      }),
    ],
    [3, () => ({ do: 'ask re-arm', region, by })],
    [1, () => ({ do: 'ask lift', version, by })],
    [4, () => ({ do: 'decide', back: random.chance(80) ? 0 : 1, by, approve: random.chance(85) })],
    [2, () => ({ do: 'permit lapses', region })],
    [
      4,
      () => ({
        do: 'edit',
        region,
        organisation: random.below(ORGANISATIONS),
        edit: random.pick(EDITS),
      }),
    ],
    [3, () => ({ do: 'restore', worker, back: random.below(2), points: pointsOf(random) })],
  ]);
  return make();
}

/** A schedule as one reads it: a line for each step. */
export function told({ steps, ...setting }: Schedule): string {
  const lines = steps.map((step, at) => `  ${at + 1}. ${JSON.stringify(step)}`);
  return [JSON.stringify(setting), ...lines].join('\n');
}
