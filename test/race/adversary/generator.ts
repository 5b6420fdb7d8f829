import { Random } from '../schedules/random.js';
import type { Alias, Files, Points, Schedule, Shares, Step } from './schedule.js';

/** What a schedule is to lead to; the same steps come without it too, only not as often. */
export interface Lead {
  /** Of these ways more than half are made. */
  readonly ways: readonly Way[];
  /** Whether Eve has an admin's token; absent: chance decides. */
  readonly admin?: boolean;
}

const ALIASES: readonly Alias[] = ['mallory', 'mallory', 'mara', 'ann', 'bob', 'eve'];
const FILES: readonly Files[] = ['same', 'no approvals', 'one step', 'one region'];
const PERMILLE = [200, 500, 1000] as const;
const POINTS = 9;

/** The schedule of a seed: now and then a rollout that has begun, and then whatever comes. The last thing is a run. */
export function scheduleOf(seed: number, lead?: Lead): Schedule {
  const random = new Random(seed);
  const chance = random.chance(55);
  const admin = lead?.admin ?? chance;
  const count = 10 + random.below(8);
  const steps = Array.from({ length: count }, () => stepsOf({ random, admin }, lead))
    .flat()
    .slice(0, count);
  return { seed, admin, steps: [...steps, ...runAfter({ random, admin })] };
}

interface At {
  readonly random: Random;
  readonly admin: boolean;
}

function stepsOf(at: At, lead: Lead | undefined): Step[] {
  const { random } = at;
  if (lead && random.chance(70)) return WAYS[random.pick(lead.ways)](at);
  if (random.chance(45)) return WAYS[random.pick(Object.keys(WAYS) as Way[])](at);
  const step = stepOf(at);
  if (!random.chance(12)) return [step];
  const other = stepOf(at);
  return [step, other].some((each) => BY_THEMSELVES.has(each.do))
    ? [step, other]
    : [{ do: 'both', steps: [step, other] }];
}

/** What nothing else may happen beside: then nobody could say any more what came first. */
const BY_THEMSELVES: ReadonlySet<Step['do']> = new Set<Step['do']>([
  'back up',
  'restore backup',
  'region grows',
]);

/** She cares for the version that somebody may admit, and for the one that nobody will. */
const version = ({ random }: At): number => (random.chance(60) ? 1 : 2);
const region = ({ random }: At): number => (random.chance(65) ? 0 : 1);
const by = ({ random }: At): number => random.below(6);
const pointsOf = ({ random }: At): Points => (random.chance(55) ? 'all' : random.below(POINTS));
const role = ({ random }: At) => random.pick(['operator', 'approver', 'admin'] as const);

function sharesOf(random: Random, of: number): Shares {
  const permille = random.pick(PERMILLE);
  if (permille === 1000 || random.chance(40)) return [[of, permille]];
  return random.chance(60)
    ? [
        [of, permille],
        [0, 1000 - permille],
      ]
    : [
        [0, 1000 - permille],
        [of, permille],
      ];
}

/** Something that one of the others or the world does. */
const OTHERS: readonly ((at: At) => Step)[] = [
  (at) => ({ do: 'ann starts', version: at.random.chance(90) ? 1 : 2 }),
  (at) => ({ do: 'ann asks', region: region(at), permille: at.random.pick([200, 300]) }),
  (at) => ({ do: 'ann gives', region: region(at), permille: at.random.pick([200, 300]) }),
  () => ({ do: 'ann aborts' }),
  () => ({ do: 'ann revokes' }),
  () => ({ do: 'bob decides' }),
  () => ({ do: 'bob decides' }),
  () => ({ do: 'bob kills', version: 1 }),
  () => ({ do: 'look' }),
  () => ({ do: 'look' }),
  () => ({ do: 'break-glass expires' }),
  () => ({ do: 'an hour passes' }),
  (at) => ({ do: 'region grows', region: region(at) }),
  (at) => ({ do: 'carry', region: region(at) }),
  () => ({ do: 'back up' }),
  () => ({ do: 'restore backup' }),
];

/** What Eve can do with any token. */
const HERS: readonly ((at: At) => Step)[] = [
  (at) => ({ do: 'set', by: by(at), region: region(at), shares: sharesOf(at.random, version(at)) }),
  (at) => ({ do: 'set', by: by(at), region: region(at), shares: sharesOf(at.random, version(at)) }),
  (at) => ({ do: 'revert', by: by(at), region: region(at), back: 1 + at.random.below(3) }),
  (at) => ({ do: 'start', by: by(at), version: version(at) }),
  (at) => ({ do: 'steer', by: by(at), how: at.random.pick(['resume', 'pause', 'abort'] as const) }),
  (at) => ({ do: 'promote', by: by(at) }),
  (at) => ({ do: 'admit initially', by: by(at), version: version(at), region: region(at) }),
  (at) => ({
    ...{ do: 'ask', by: by(at), version: version(at), region: region(at) },
    permille: at.random.pick(PERMILLE),
  }),
  (at) => ({ do: 'approve', by: by(at), of: at.random.below(3) }),
  (at) => ({ do: 'approve wave', by: by(at) }),
  (at) => ({ do: 'alone', by: by(at), of: at.random.below(2) }),
  (at) => ({ do: 'lift', by: by(at), version: version(at) }),
  (at) => ({ do: 'apply', by: by(at), files: at.random.pick(FILES) }),
  (at) => ({
    ...{ do: 'issue', by: by(at), role: role(at), replace: at.random.chance(30) },
    owner: at.random.chance(30) ? 'machine' : at.random.pick(ALIASES),
  }),
  (at) => ({
    ...{ do: 'add person', by: by(at), role: role(at), replace: at.random.chance(40) },
    name: at.random.pick(ALIASES),
  }),
  () => ({ do: 'redeem' }),
  (at) => ({ do: 'remove', by: by(at), name: at.random.pick(['ann', 'bob'] as const) }),
  (at) => ({ do: 'revoke token', by: by(at), name: at.random.pick(['ann', 'bob'] as const) }),
];

function stepOf(at: At): Step {
  const { random } = at;
  if (random.chance(22)) {
    const trigger = random.chance(50) ? 'manual' : 'schedule';
    return random.chance(80)
      ? { do: 'run', version: version(at), region: region(at), points: pointsOf(at), trigger }
      : { do: 'proceed', points: pointsOf(at) };
  }
  return random.pick(random.chance(45) ? OTHERS : HERS)(at);
}

const runOf = (at: At, of: number, where: number, points: Points = 'all'): Step => ({
  ...{ do: 'run', version: of, region: where, points },
  trigger: at.random.chance(50) ? 'manual' : 'schedule',
});

const runAfter = (at: At): Step[] => [
  { do: 'proceed', points: 'all' },
  runOf(at, version(at), region(at)),
  runOf(at, 2, 0),
];

const set = (at: At, of: number, where: number, permille = 1000): Step => ({
  ...{ do: 'set', by: by(at), region: where, shares: [[of, permille]] },
});

/** Break-glass that Ann asks for, Bob agrees to and Ann uses. */
const granted = (where: number): Step[] => [
  { do: 'ann asks', region: where, permille: 300 },
  { do: 'bob decides' },
  { do: 'ann gives', region: where, permille: 300 },
];

/** A rollout that has taken its first step. */
const BEGUN: readonly Step[] = [{ do: 'ann starts', version: 1 }, { do: 'look' }];

/** What she can do about a request that waits, whoever she is by then. */
const askedAnd = (at: At, ...between: Step[]): Step[] => {
  const [of, where] = [version(at), region(at)];
  return [
    { do: 'ask', by: by(at), version: of, region: where, permille: 1000 },
    ...between,
    { do: 'approve', by: by(at), of: 0 },
    { do: 'approve', by: by(at), of: 0 },
    set(at, of, where),
    runOf(at, of, where),
  ];
};

/** Ways that lead somewhere, each with a run at its end. */
const WAYS = {
  'set and run': (at) => {
    const [of, where] = [version(at), region(at)];
    return [set(at, of, where, at.random.pick(PERMILLE)), runOf(at, of, where)];
  },
  'ask and approve': (at) => askedAnd(at),
  'ask, and approve with a token that she issues': (at) => [
    {
      ...{ do: 'issue', by: by(at), role: 'admin', replace: at.random.chance(30) },
      owner: at.random.chance(30) ? 'machine' : at.random.pick(ALIASES),
    },
    ...askedAnd(at),
  ],
  'ask, and approve as somebody whom she adds': (at) => [
    {
      ...{ do: 'add person', by: by(at), role: 'admin', replace: at.random.chance(50) },
      name: at.random.pick(ALIASES),
    },
    { do: 'redeem' },
    ...askedAnd(at),
  ],
  'ask, and let it approve itself': (at) => {
    const [of, where] = [version(at), region(at)];
    return [
      { do: 'remove', by: by(at), name: 'bob' },
      { do: 'ask', by: by(at), version: of, region: where, permille: 1000 },
      { do: 'alone', by: by(at), of: 0 },
      { do: 'an hour passes' },
      set(at, of, where),
      runOf(at, of, where),
    ];
  },
  'use break-glass that is over': (at) => {
    const where = region(at);
    return [
      ...granted(where),
      { do: at.random.chance(50) ? 'break-glass expires' : 'ann revokes' },
      ...(at.random.chance(50) ? [set(at, 1, where, 300)] : []),
      runOf(at, 1, where),
    ];
  },
  'use break-glass beyond what it gives': (at) => {
    const where = region(at);
    const other = at.random.chance(50) ? where : 1 - where;
    return [
      ...granted(where),
      set(at, 1, other),
      runOf(at, 1, other),
      set(at, 2, where, 300),
      runOf(at, 2, where),
    ];
  },
  'ask for few, and let them become many': (at) => [
    { do: 'ann asks', region: 0, permille: 300 },
    { do: 'region grows', region: 0 },
    { do: 'bob decides' },
    { do: 'ann gives', region: 0, permille: 300 },
    runOf(at, 1, 0),
  ],
  'come back after an abort': (at) => [
    ...BEGUN,
    runOf(at, 1, 0),
    at.random.chance(50) ? { do: 'ann aborts' } : { do: 'bob kills', version: 1 },
    at.random.chance(50)
      ? { do: 'revert', by: by(at), region: 0, back: 1 + at.random.below(2) }
      : set(at, 1, 0, 200),
    ...(at.random.chance(40) ? [{ do: 'steer', by: by(at), how: 'resume' } as const] : []),
    runOf(at, 1, 0),
  ],
  'abort in mid-run': (at) => [
    ...BEGUN,
    runOf(at, 1, 0, 1 + at.random.below(POINTS)),
    { do: 'ann aborts' },
    { do: 'carry', region: 0 },
    { do: 'proceed', points: 'all' },
  ],
  'revoke in mid-run': (at) => [
    ...granted(0),
    runOf(at, 1, 0, 1 + at.random.below(POINTS)),
    at.random.chance(50) ? { do: 'ann revokes' } : { do: 'break-glass expires' },
    { do: 'carry', region: 0 },
    { do: 'proceed', points: 'all' },
  ],
  'skip its bakes': (at) => [
    { do: 'start', by: by(at), version: version(at) },
    { do: 'look' },
    { do: 'promote', by: by(at) },
    { do: 'approve', by: by(at), of: 0 },
    { do: 'look' },
    runOf(at, version(at), 0),
  ],
  'begin a wave alone': (at) => {
    const of = version(at);
    return [
      { do: 'start', by: by(at), version: of },
      { do: 'look' },
      runOf(at, of, 0),
      { do: 'look' },
      runOf(at, of, 0),
      { do: 'look' },
      { do: 'look' },
      { do: 'approve wave', by: by(at) },
      { do: 'look' },
      runOf(at, of, 1),
    ];
  },
  'restore a backup of before': (at) => [
    ...granted(0),
    { do: 'back up' },
    runOf(at, 1, 0),
    { do: 'ann revokes' },
    { do: 'carry', region: 0 },
    { do: 'restore backup' },
    runOf(at, 1, 0),
  ],
  'admit it as the first one': (at) => {
    const where = region(at);
    return [
      ...(at.random.chance(40) ? [{ do: 'apply', by: by(at), files: 'one region' } as const] : []),
      ...(at.random.chance(40) ? [{ do: 'apply', by: by(at), files: 'same' } as const] : []),
      { do: 'admit initially', by: by(at), version: 2, region: where },
      set(at, 2, where),
      runOf(at, 2, where),
    ];
  },
  'race an abort': (at) => [
    ...BEGUN,
    {
      do: 'both',
      steps: [
        { do: 'ann aborts' },
        at.random.pick([
          { do: 'look' },
          { do: 'steer', by: by(at), how: 'resume' },
          set(at, 1, 0, 200),
          runOf(at, 1, 0),
        ] as const satisfies readonly Step[]),
      ],
    },
    set(at, 1, 0, 200),
    runOf(at, 1, 0),
  ],
} as const satisfies Readonly<Record<string, (at: At) => Step[]>>;

export type Way = keyof typeof WAYS;
