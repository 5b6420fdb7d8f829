import { Random } from './random.js';
import {
  ALERTS,
  FIRINGS,
  ORGANISATIONS,
  WORKERS,
  type Edit,
  type Files,
  type Kill,
  type Name,
  type Points,
  type Schedule,
  type Shares,
  type Step,
} from './schedule.js';

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
/** Those under which something may be done. */
const OPEN = SHARES.slice(0, 5);

const EDITS: readonly Edit[] = ['release', 'exclude', 'exclude', 'rename', 'backdate', 'rename one'];

const NAMES: readonly Name[] = ['ann', 'ann', 'bob', 'bob', 'cat', 'cat', 'dan', 'eve'];

const FILES: readonly Files[] = ['same', 'changed', 'changed', 'moved', 'faulty'];

/** Slots that runs are for. */
const SLOTS = 6;

/** What a schedule is to lead to; the same steps come without it too, only not as often. */
export interface Lead {
  /** Of these ways more than half are made. */
  readonly ways: readonly Way[];
  /** Whether runs have a cap; absent: chance decides. */
  readonly cap?: boolean;
  /** Whether a run has begun before them; absent: mostly. */
  readonly begun?: boolean;
}

/** The schedule of a seed: a flag that is on, mostly a run that has begun, and then whatever comes. */
export function scheduleOf(seed: number, lead?: Lead): Schedule {
  const random = new Random(seed);
  const regions = random.chance(25) ? 2 : 1;
  const lanes = random.chance(25) ? 2 : 1;
  const batch = 2 + random.below(2);
  const capped = random.chance(15);
  const cap = 5 + random.below(8);
  const begun = random.chance(90);
  const opening: Step[] = Array.from({ length: regions }, (_, region) => ({
    do: 'flag',
    region,
    shares: random.pick(OPEN),
    heardBy: [0, 1],
  }));
  const count = 7 + random.below(7);
  const steps = Array.from({ length: count }, () => stepsOf(random, regions, lead))
    .flat()
    .slice(0, count);
  const first: Step = { do: 'run', worker: 0, region: 0, version: 0, slot: 0, points: pointsOf(random) };
  return {
    ...{ seed, regions, lanes, batch },
    cap: (lead?.cap ?? capped) ? cap : undefined,
    steps: [...opening, ...((lead?.begun ?? begun) ? [first] : []), ...steps],
  };
}

function pointsOf(random: Random): Points {
  return random.chance(20) ? 'all' : random.below(random.chance(50) ? 6 : 24);
}

/** Mostly one step; now and then a few that only together lead somewhere, whatever is under way. */
function stepsOf(random: Random, regions: number, lead: Lead | undefined): Step[] {
  const at = { random, region: random.below(regions), worker: random.chance(70) ? 0 : 1, regions };
  if (lead && random.chance(65)) return WAYS[random.pick(lead.ways)].steps(at);
  if (random.chance(55)) return [stepOf(random, regions)];
  return random.weighted(Object.values(WAYS).map((way) => [way.weight, way] as const)).steps(at);
}

/** Where a way begins, and what it draws from. */
interface At {
  readonly random: Random;
  readonly region: number;
  readonly regions: number;
  readonly worker: number;
}

interface Steps {
  readonly weight: number;
  readonly steps: (at: At) => Step[];
}

/**
 * Something that happens while a run or a restore is under way: it begins, mostly with rows that it has something to do
 * with, stands still, and then goes on.
 */
const inMidRun =
  (points: (random: Random) => Points, happens: (at: At) => Step[]) =>
  (at: At): Step[] => {
    const { random, region, worker } = at;
    const begin: Step = random.chance(80)
      ? { do: 'run', worker, region, version: 0, slot: random.below(SLOTS), points: points(random) }
      : { do: 'restore', worker, back: 0, points: points(random) };
    return [
      ...(random.chance(70) ? [{ do: 'proceed', worker, points: 'all' } as const] : []),
      ...(random.chance(60) ? [{ do: 'edit', region, organisation: 'all', edit: 'release' } as const] : []),
      begin,
      ...happens(at),
      { do: 'proceed', worker, points: pointsOf(random) },
    ];
  };

/** Somewhere between the first batch and the last, and mostly where no batch is under way. */
const amongBatches = (random: Random): Points =>
  random.chance(40) ? random.pick([6, 7, 10, 11, 14]) : 6 + random.below(12);
/** Around the moment when a plan is judged, and not begun. */
const aroundJudging = (random: Random): Points => random.pick([3, 4, 5, 5, 6, 6]);

/** Ways that lead somewhere, with how often each is taken when chance decides. */
const WAYS = {
  'take over': {
    weight: 12,
    steps: ({ random, worker }) => [
      { do: 'leases end' },
      { do: 'take over', worker, points: random.below(12) },
      { do: 'proceed', worker: 1 - worker, points: pointsOf(random) },
    ],
  },
  'take over what is judged': {
    weight: 3,
    steps: inMidRun(aroundJudging, ({ random, worker }) => [
      { do: 'leases end' },
      { do: 'take over', worker: 1 - worker, points: random.chance(50) ? 'all' : random.below(12) },
    ]),
  },
  'take over in mid-run': {
    weight: 3,
    steps: inMidRun(amongBatches, ({ random, worker }) => [
      { do: 'leases end' },
      { do: 'take over', worker: 1 - worker, points: random.below(12) },
    ]),
  },
  'kill and re-arm': {
    weight: 6,
    steps: ({ random, region, worker }) => [
      { do: 'kill', what: { region }, by: random.pick(NAMES), impatient: random.chance(40) },
      { do: 'ask re-arm', region, by: random.pick(NAMES) },
      { do: 'decide', back: 0, by: random.pick(NAMES), approve: true },
      { do: 'reconcile', worker, region },
    ],
  },
  'kill in mid-run': {
    weight: 4,
    steps: (at) => [
      ...inMidRun(amongBatches, ({ random, region }) => [
        {
          do: 'kill',
          what: random.weighted<Kill>([
            [6, { region }],
            [2, { version: 0 }],
            [1, 'all'],
          ]),
          by: 'ann',
          impatient: random.chance(40),
        },
      ])(at),
      ...rearmed(at),
    ],
  },
  'kill a restore': {
    weight: 4,
    steps: (at) => [
      ...(at.random.chance(60) ? [{ do: 'proceed', worker: at.worker, points: 'all' } as const] : []),
      {
        ...{ do: 'restore', worker: at.worker, back: 0 },
        points: at.random.chance(50) ? at.random.pick([4, 5, 8, 9]) : at.random.below(10),
      },
      {
        ...{ do: 'kill', what: at.random.pick<Kill>([{ region: at.region }, 'all']), by: 'ann' },
        impatient: at.random.chance(40),
      },
      { do: 'proceed', worker: at.worker, points: pointsOf(at.random) },
      ...rearmed(at),
    ],
  },
  'edit and restore': {
    weight: 6,
    steps: ({ random, region, worker }) => [
      { do: 'edit', region, organisation: random.below(ORGANISATIONS), edit: random.pick(EDITS) },
      { do: 'restore', worker, back: 0, points: pointsOf(random) },
    ],
  },
  'edit in mid-run': {
    weight: 3,
    steps: inMidRun(
      (random) => (random.chance(50) ? 1 + random.below(3) : random.below(12)),
      ({ random, region }) => [
        { do: 'edit', region, organisation: random.below(ORGANISATIONS), edit: random.pick(EDITS) },
        { do: 'edit', region, organisation: random.below(ORGANISATIONS), edit: random.pick(EDITS) },
      ],
    ),
  },
  'close and open in mid-run': {
    weight: 4,
    steps: inMidRun(amongBatches, ({ random, region, worker }) => [
      { do: 'flag', region, shares: [], heardBy: [1 - worker] },
      { do: 'flag', region, shares: random.pick(OPEN), heardBy: [1 - worker] },
    ]),
  },
  'narrow and widen in mid-run': {
    weight: 4,
    steps: inMidRun(amongBatches, ({ random, region, worker }) => [
      { do: 'flag', region, shares: [[0, random.pick([100, 300, 600])]], heardBy: [1 - worker] },
      { do: 'flag', region, shares: [[0, 1000]], heardBy: [1 - worker] },
    ]),
  },
  'let the permit lapse in mid-run': {
    weight: 2,
    steps: inMidRun(amongBatches, ({ region }) => [{ do: 'permit lapses', region }]),
  },
  'carry old news': {
    weight: 2,
    steps: ({ random, region, worker }) => [
      { do: 'flag', region, shares: random.pick(OPEN), heardBy: [worker] },
      { do: 'flag', region, shares: random.pick(SHARES), heardBy: [1 - worker] },
      { do: 'reconcile', worker, region },
    ],
  },
  'fail over in mid-run': {
    weight: 5,
    steps: inMidRun(amongBatches, ({ random, region, worker }) => [
      { do: 'fail over' },
      ...(random.chance(30) ? [{ do: 'confirm database', by: 'cat' } as const] : []),
      ...(random.chance(30) ? [{ do: 'reconcile', worker: 1 - worker, region } as const] : []),
    ]),
  },
  'fail over and confirm': {
    weight: 3,
    steps: ({ random, region, worker }) => [
      { do: 'fail over' },
      random.pick<Step>([
        { do: 'run', worker, region, version: 0, slot: random.below(SLOTS), points: 'all' },
        { do: 'restore', worker, back: 0, points: 'all' },
        { do: 'reconcile', worker, region },
      ]),
      { do: 'confirm database', by: random.pick(NAMES) },
      { do: 'reconcile', worker, region },
    ],
  },
  'restart with other files': {
    weight: 4,
    steps: ({ random, region, worker }) => [
      { do: 'restart', worker, files: random.pick(FILES) },
      { do: 'run', worker, region, version: 0, slot: random.below(SLOTS), points: pointsOf(random) },
    ],
  },
  'send an alert twice': {
    weight: 3,
    steps: (at) => {
      const alert = alertOf(at);
      return [
        alert(0, 'firing'),
        ...(at.random.chance(50) ? rearmed(at) : []),
        ...(at.random.chance(30) ? [alert(0, 'resolved')] : []),
        alert(0, 'firing'),
      ];
    },
  },
  'send an alert after its end': {
    weight: 3,
    steps: (at) => {
      const alert = alertOf(at);
      return at.random.pick([
        [alert(0, 'resolved'), alert(0, 'firing')],
        [alert(1, 'resolved'), alert(0, 'firing'), alert(1, 'firing')],
        [alert(0, 'firing'), alert(1, 'firing'), alert(1, 'resolved')],
        [alert(0, 'firing'), alert(0, 'resolved'), ...rearmed(at), alert(1, 'firing')],
      ]);
    },
  },
  'send an alert in mid-run': {
    weight: 2,
    steps: inMidRun(amongBatches, (at) => [alertOf(at)(at.random.below(FIRINGS), 'firing')]),
  },
} as const satisfies Readonly<Record<string, Steps>>;

export type Way = keyof typeof WAYS;

function alertOf({ random, region }: At): (firing: number, status: 'firing' | 'resolved') => Step {
  const alert = random.below(ALERTS);
  return (firing, status) => ({ do: 'alert', region, alert, firing, status });
}

function rearmed({ region, worker }: At): Step[] {
  return [
    { do: 'ask re-arm', region, by: 'ann' },
    { do: 'decide', back: 0, by: 'cat', approve: true },
    { do: 'reconcile', worker, region },
  ];
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
    [4, () => ({ do: 'run', worker, region, version, slot: random.below(SLOTS), points: pointsOf(random) })],
    [
      1,
      () => ({
        do: 'catch-up',
        worker,
        region,
        version,
        slot: random.below(SLOTS),
        points: pointsOf(random),
      }),
    ],
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
    [2, () => ({ do: 'restart', worker, files: random.pick(FILES) })],
    [
      3,
      () => ({
        do: 'alert',
        region,
        alert: random.below(ALERTS),
        firing: random.below(FIRINGS),
        status: random.chance(60) ? 'firing' : 'resolved',
      }),
    ],
    [1, () => ({ do: 'fail over' })],
    [2, () => ({ do: 'confirm database', by })],
  ]);
  return make();
}
