import { describe, expect, test } from '@jest/globals';
import { addPerson, redeemCode } from '../../src/access/people.js';
import { MAY_DO, ROLES, type Action, type Standing } from '../../src/access/roles.js';
import { issueToken, type TokenRequest } from '../../src/access/tokens.js';
import { verifyAudit } from '../../src/audit/verify.js';
import { killGate } from '../../src/containment/kill-gate.js';
import { readAdmissions } from '../../src/flags/admission-store.js';
import { BREAK_GLASS } from '../../src/rollout/break-glass.js';
import { askToSkip, SKIP_BAKE } from '../../src/rollout/skip-bake.js';
import { abortRollout, pauseRollout } from '../../src/rollout/steer.js';
import { BEGIN_WAVE } from '../../src/rollout/wave-approval.js';
import { testDatabase } from '../support/database.js';
import { personId, tokenOf } from '../support/people.js';
import { ann, begunOn, rolling, WAVES, type Rolling } from '../support/rolling.js';
import { hearFlags, post, serving, type Answer, type JsonCall } from './serving.js';
import type { Variant } from '../../src/flags/variant.js';

/**
 * Every way over HTTP in which somebody may want a version to get more than a rollout has admitted, by everybody: see
 * test/db/admission.test.ts for what is done by SQL, and test/db/unleash-admission.test.ts for an Unleash server.
 */

const { owner, ...database } = await testDatabase();
const served = await serving(owner, { flags: (await hearFlags(owner)).desk });

type Begun = Awaited<ReturnType<typeof begunOn>>;

const regionA = ({ policy }: Pick<Rolling, 'policy'>): string => policy.regions[0] ?? '';
const everything = ({ candidate }: Rolling): Variant[] => [{ version: candidate.version, permille: 1000 }];

const calls: Record<string, JsonCall> = {};

/** Calls with a token that is known by this name. */
async function callOf(request: TokenRequest): Promise<JsonCall> {
  const known = calls[request.name];
  if (known !== undefined) return known;
  const { owner: of } = request;
  const { token } =
    of === 'machine'
      ? await issueToken(owner, request, { name: 'ann', hands: [personId('ann')] })
      : await tokenOf(owner, request);
  return (calls[request.name] = withToken(token));
}

function withToken(token: string | undefined): JsonCall {
  return (path, init = {}) => {
    const headers = new Headers(init.headers);
    headers.set('authorization', token === undefined ? 'none' : `Bearer ${token}`);
    return served.json(path, { ...init, headers });
  };
}

interface Somebody {
  readonly who: string;
  readonly standing: Standing;
  /** Whether they may act in the first region alone, or only elsewhere; absent: everywhere. */
  readonly bound?: 'here' | 'elsewhere';
  call(roll: Rolling): Promise<JsonCall>;
}

const EVERYBODY: readonly Somebody[] = [
  ...ROLES.map((role) => ({
    who: role,
    standing: role,
    call: () => callOf({ name: `the-${role}`, role, owner: role === 'worker' ? 'machine' : undefined }),
  })),
  {
    who: 'a machine with the role admin',
    standing: 'admin',
    call: () => callOf({ name: 'machine', role: 'admin', owner: 'machine' }),
  },
  {
    who: 'an admin who is bound to that region',
    standing: 'admin',
    bound: 'here',
    call: (roll) => callOf({ name: `here-${roll.job}`, role: 'admin', regions: [regionA(roll)] }),
  },
  {
    who: 'an admin who is bound to another region',
    standing: 'admin',
    bound: 'elsewhere',
    call: () => callOf({ name: 'elsewhere', role: 'admin', regions: ['elsewhere'] }),
  },
  { who: 'nobody', standing: 'local', call: () => Promise.resolve(withToken(undefined)) },
];

interface Way {
  readonly way: string;
  readonly action: Action;
  /** Reaches more than one region, so that whoever is bound to some may not. */
  readonly everywhere?: true;
  /** What it answers to whoever may do that at all. */
  readonly answers: readonly (200 | string)[];
  /** What comes before, once. */
  readonly first?: (roll: Begun) => Promise<unknown>;
  /** What comes before each. */
  readonly before?: (roll: Begun) => Promise<unknown>;
  readonly path: (roll: Begun) => string;
  readonly body: (roll: Begun) => Promise<object> | object;
}

const reason = 'it is urgent';
const flagPath = (roll: Begun): string => `flags/${roll.job}/${regionA(roll)}`;

/** A revision of the flag at which the candidate has everything; the flag is then as it was. */
async function setOnce(roll: Begun): Promise<void> {
  const before = (await roll.flags()).get(regionA(roll));
  await roll.set(regionA(roll), { variants: everything(roll) });
  await roll.set(regionA(roll), { variants: before?.variants ?? [] });
}

/** The first revision of the flag that gave the candidate at least so much. */
async function revisionWith(roll: Begun, permille: number): Promise<number> {
  const { rows } = await owner.query<{ revision: number }>(
    `select min(revision) as revision from portcullis_control.flag_change c, jsonb_array_elements(c.variants) v
     where job = $1 and region = $2 and v->>'version' = $3 and (v->>'permille')::integer >= $4`,
    [roll.job, regionA(roll), roll.candidate.version, permille],
  );
  return rows[0]?.revision ?? 0;
}

async function bySql(roll: Begun): Promise<void> {
  await owner.query(
    `update portcullis_control.flag set enabled = true, variants = $2, reason = 'sql', changed_by = 'dba' where job = $1`,
    [roll.job, JSON.stringify(everything(roll))],
  );
}

const hasty = (roll: Begun): string =>
  `job: ${roll.job}\nschedule: '*/5 * * * *'\nregions: [${roll.regions.join(', ')}]\n${WAVES.replaceAll('R-', regionA(roll).slice(0, -1)).replaceAll(/steps: \[\d+%/g, 'steps: [99.9%')}`;

const WAYS: readonly Way[] = [
  {
    way: 'a flag that is set',
    action: 'set-flag',
    answers: ['ADMISSION_EXCEEDED'],
    path: flagPath,
    body: (roll) => ({ enabled: true, variants: everything(roll), reason }),
  },
  {
    way: 'a flag that is set after an abort to what a step had given',
    action: 'set-flag',
    answers: ['ADMISSION_EXCEEDED'],
    first: ({ job }) => abortRollout(owner, { job, reason: 'bad' }, ann),
    path: flagPath,
    body: ({ candidate: { version } }) => ({ variants: [{ version, permille: 100 }], reason }),
  },
  {
    way: 'a flag that is reverted to a share beyond',
    action: 'set-flag',
    answers: ['ADMISSION_EXCEEDED'],
    first: setOnce,
    path: (roll) => `${flagPath(roll)}/revert`,
    body: async (roll) => ({ revision: await revisionWith(roll, 1000), reason }),
  },
  {
    way: 'a flag that is reverted to before an abort',
    action: 'set-flag',
    answers: ['ADMISSION_EXCEEDED'],
    first: ({ job }) => abortRollout(owner, { job, reason: 'bad' }, ann),
    path: (roll) => `${flagPath(roll)}/revert`,
    body: async (roll) => ({ revision: await revisionWith(roll, 100), reason }),
  },
  {
    way: 'a policy with larger steps that is applied',
    action: 'apply-policy',
    everywhere: true,
    answers: [200],
    path: () => 'policies',
    body: (roll) => ({ files: [{ file: 'hasty.yaml', text: hasty(roll) }] }),
  },
  {
    way: 'a second rollout',
    action: 'start-rollout',
    everywhere: true,
    answers: ['ROLLOUT_ACTIVE'],
    path: ({ job }) => `rollouts/${job}/start`,
    body: ({ candidate: { version } }) => ({ version, reason }),
  },
  {
    way: 'a first version that is none',
    action: 'set-flag',
    answers: ['INITIAL_DONE'],
    path: ({ job }) => `rollouts/${job}/initial`,
    body: (roll) => ({ version: roll.candidate.version, regions: [regionA(roll)], reason }),
  },
  {
    way: 'a bake that one person wants skipped',
    action: 'skip-bake',
    answers: [200, 'ROLLOUT_STATE'],
    path: ({ job }) => `rollouts/${job}/promote`,
    body: (roll) => ({ region: regionA(roll), reason }),
  },
  {
    way: 'a rollout that is resumed after its flags were raised by SQL',
    action: 'set-flag',
    everywhere: true,
    answers: [200],
    first: ({ job }) => pauseRollout(owner, { job, reason: 'wait' }, ann),
    before: async (roll) => {
      if ((await roll.rollout()).status === 'running')
        await pauseRollout(owner, { job: roll.job, reason: 'wait' }, ann);
      await bySql(roll);
    },
    path: ({ job }) => `rollouts/${job}/resume`,
    body: () => ({ reason }),
  },
  {
    way: 'break-glass that one person asks for',
    action: 'break-glass',
    answers: [200],
    path: (roll) => `${flagPath(roll)}/break-glass`,
    body: ({ candidate: { version } }) => ({ version, permille: 1000, reason }),
  },
  {
    way: 'a re-arm that one person asks for',
    action: 'request-rearm',
    answers: [200],
    first: (roll) => killGate(owner, { job: roll.job, region: regionA(roll), reason: 'test', by: 'ann' }),
    path: ({ job }) => `jobs/${job}/rearm`,
    body: (roll) => ({ region: regionA(roll), reason }),
  },
];

const outcome = ({ status, body }: Answer): unknown => (status === 200 ? 200 : body['code']);

/** How far the candidate is admitted, by region. */
async function admitted(roll: Rolling): Promise<number[]> {
  const admissions = await readAdmissions(owner);
  return roll.policy.regions.map(
    (region) => admissions.of(roll.job, region).permille.get(roll.candidate.version) ?? 0,
  );
}

/** For how many units of each region the candidate's next run may write. */
async function units(roll: Rolling): Promise<number[]> {
  const reports = await roll.slot([roll.candidate]);
  const { rows } = await owner.query<{ n: number }>(
    `select coalesce(p.admitted_units, 0) as n from unnest($1::uuid[]) with ordinality as r (id, at)
     left join portcullis_region.plan p on p.run = r.id order by r.at`,
    [reports.map(({ run }) => run.id)],
  );
  return rows.map(({ n }) => n);
}

function expected({ action, everywhere, answers }: Way, { standing, bound }: Somebody): readonly unknown[] {
  if (standing === 'local') return ['TOKEN_REFUSED'];
  const may = (MAY_DO[action] as readonly Standing[]).includes(standing);
  if (!may || bound === 'elsewhere' || (bound === 'here' && everywhere)) return ['FORBIDDEN'];
  return answers;
}

test.each(WAYS)('$way gives a version nothing, whoever asks for it', async (way) => {
  const roll = await begunOn({ owner, ...database });
  await way.first?.(roll);
  const before = await admitted(roll);
  const beforeUnits = await units(roll);
  expect(beforeUnits.slice(1)).toEqual([0, 0]);
  for (const somebody of EVERYBODY) {
    await way.before?.(roll);
    const call = await somebody.call(roll);
    const answer = await call(`/api/v1/${way.path(roll)}`, post(await way.body(roll)));
    expect([somebody.who, expected(way, somebody)]).toEqual([
      somebody.who,
      expect.arrayContaining([outcome(answer)]) as unknown,
    ]);
    if ((await roll.rollout()).status === 'running') await roll.look();
    expect([somebody.who, await admitted(roll)]).toEqual([somebody.who, before]);
  }
  // However the flags are turned up, too.
  await bySql(roll);
  for (const [at, n] of (await units(roll)).entries()) expect(n).toBeLessThanOrEqual(beforeUnits[at] ?? 0);
  expect((await verifyAudit(owner)).ok).toBe(true);
});

/** What a second person decides, and until then is nothing. Ann asks. */
const REQUESTS: readonly {
  readonly what: string;
  readonly action: string;
  readonly begun: () => Promise<Rolling>;
  readonly ask?: (roll: Rolling, asAnn: JsonCall) => Promise<unknown>;
  /** What the candidate has in the first region when it was agreed to and the rollout has looked. */
  readonly gives: number;
}[] = [
  {
    what: 'the first wave of a rollout',
    action: BEGIN_WAVE,
    begun: async () => {
      const roll = await rolling(
        { owner, ...database },
        WAVES.replace('time: 10m }', 'time: 10m }, approvals: 1'),
      );
      for (const region of roll.policy.regions)
        await roll.set(region, {
          enabled: true,
          variants: [{ version: roll.stable.version, permille: 1000 }],
        });
      await roll.start();
      await roll.look();
      return roll;
    },
    gives: 100,
  },
  {
    what: 'a skipped bake',
    action: SKIP_BAKE,
    begun: () => begunOn({ owner, ...database }),
    // By the rollout's own clock, which is the test's.
    ask: (roll) => askToSkip(roll.ports, { job: roll.job, reason, now: roll.now() }, ann),
    gives: 1000,
  },
  {
    what: 'break-glass',
    action: BREAK_GLASS,
    begun: () => begunOn({ owner, ...database }),
    ask: ({ candidate: { version }, ...roll }, asAnn) =>
      asAnn(
        `/api/v1/flags/${roll.job}/${regionA(roll)}/break-glass`,
        post({ version, permille: 700, reason }),
      ),
    gives: 700,
  },
];

describe.each(REQUESTS)('$what', ({ action, begun, ask, gives }) => {
  test('is decided by nobody but a second person, and gives what was asked for and no more', async () => {
    const roll = await begun();
    const asAnn = await callOf({ name: 'ann', role: 'operator' });
    await ask?.(roll, asAnn);
    const { rows } = await owner.query<{ id: string }>(
      `select id from portcullis_control.approval
       where action = $1 and decision is null and subject like $2 || ' %'`,
      [action, roll.job],
    );
    expect(rows).toHaveLength(1);
    const request = `/api/v1/approvals/${rows[0]?.id ?? ''}`;
    // A person has one friend: whom they made, whose code they redeemed themselves.
    const hers = { name: 'ann', hands: [personId('ann')] };
    const friend = `friend-${roll.job}`;
    const { code } = await addPerson(
      owner,
      { name: friend, role: 'admin', regions: undefined },
      { ...ann, role: 'admin' },
    );
    const { token: friends } = await redeemCode(owner, { code, at: 'test' });
    const second = await issueToken(
      owner,
      { name: `second-${roll.job}`, role: 'admin', owner: { person: 'ann' } },
      hers,
    );
    await tokenOf(owner, { name: 'bob', role: 'approver' }).catch(() => undefined);
    const issued = { name: `bobs-${roll.job}`, role: 'approver', owner: { person: 'bob' } } as const;
    const bobsByAnn = await issueToken(owner, issued, hers);
    const before = await admitted(roll);
    const refusals: readonly (readonly [string, JsonCall, string, string?])[] = [
      ['who asked', asAnn, 'FORBIDDEN'],
      ['who asked, by a second token', withToken(second.token), 'APPROVAL_SELF'],
      ['who asked, alone', withToken(second.token), 'ALONE_REFUSED', 'alone'],
      ['somebody whom they made', withToken(friends), 'APPROVER_TOO_NEW'],
      ["another person's token that they issued", withToken(bobsByAnn.token), 'APPROVER_UNPROVEN'],
      [
        'a machine',
        await callOf({ name: 'machine', role: 'admin', owner: 'machine' }),
        'MACHINE_CANNOT_APPROVE',
      ],
      ['an operator', await callOf({ name: 'the-operator', role: 'operator' }), 'FORBIDDEN'],
      [
        'an approver of another region',
        await callOf({ name: 'far', role: 'approver', regions: ['elsewhere'] }),
        'FORBIDDEN',
      ],
      ['nobody', withToken(undefined), 'TOKEN_REFUSED'],
    ];
    for (const [who, call, refusal, how = 'approve'] of refusals) {
      expect([who, outcome(await call(`${request}/${how}`, post({})))]).toEqual([who, refusal]);
      await roll.look();
      expect([who, await admitted(roll)]).toEqual([who, before]);
    }
    const approver = await callOf({ name: 'the-approver', role: 'approver' });
    expect(outcome(await approver(`${request}/approve`, post({})))).toBe(200);
    await roll.look();
    const [first, ...others] = await admitted(roll);
    expect(first).toBe(gives);
    expect(others).toEqual([0, 0]);
    expect((await verifyAudit(owner)).ok).toBe(true);
  });
});
