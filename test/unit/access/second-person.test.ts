import { describe, expect, test } from '@jest/globals';
import type { Principal } from '../../../src/access/roles.js';
import { judgeSecond, type Acquaintance, type KnownBy } from '../../../src/access/second-person.js';

const AT = new Date('2026-11-26T12:00:00Z');
const minutesBefore = (minutes: number) => new Date(AT.getTime() - minutes * 60_000);

const known = (
  id: string,
  introducedBy: readonly string[],
  minutes: number,
  knownBy: KnownBy = 'code',
): Acquaintance => ({ id, name: id, introducedBy, knownBy, knownSince: minutesBefore(minutes) });

const holder = (id: string, hands: readonly string[] = [id], name = id): Principal => ({
  ...{ name, role: 'approver', regions: null, hands },
  person: { id, name: id },
});

/** What becomes of it when a token that `asking` know asked, and `approver` approves. */
const judge = (
  asking: readonly string[],
  approver: Principal,
  people: readonly Acquaintance[],
  by = 'asker',
) =>
  judgeSecond(
    { what: 'k3vq7m2x', by, hands: asking, at: AT },
    approver,
    new Map(people.map((each) => [each.id, each])),
  );

/** Who has signed in by the identity provider, so long before. */
const vouched = (id: string, minutes: number): Acquaintance => ({
  ...known(id, [], minutes, 'provider'),
  vouched: true,
});

const ADMIN = known('admin', [], 0, 'first-start');
const DAY = 24 * 60;

describe('one person is not two', () => {
  test.each<[string, readonly string[], Principal, readonly Acquaintance[], string]>([
    ['a second token of theirs', ['admin'], holder('admin', ['admin'], 'admin-2'), [ADMIN], 'APPROVAL_SELF'],
    ['the same token', ['asker'], holder('asker'), [], 'APPROVAL_SELF'],
    ['a token of a machine that they issued asked', ['admin'], holder('admin'), [ADMIN], 'APPROVAL_SELF'],
    [
      'a token that they issued for somebody else asked',
      ['bob', 'admin'],
      holder('admin'),
      [ADMIN, known('bob', ['admin'], DAY)],
      'APPROVAL_SELF',
    ],
    [
      'a token that they issued for somebody else approves',
      ['admin'],
      holder('bob', ['bob', 'admin']),
      [ADMIN, known('bob', ['admin'], DAY)],
      'APPROVER_UNPROVEN',
    ],
    ['a token that nobody is known to have', ['admin'], holder('bob', []), [ADMIN], 'APPROVER_UNPROVEN'],
    [
      'somebody whom they introduced half an hour before',
      ['admin'],
      holder('bob'),
      [ADMIN, known('bob', ['admin'], 30)],
      'APPROVER_TOO_NEW',
    ],
    [
      'somebody whom they introduced after they had asked',
      ['admin'],
      holder('bob'),
      [ADMIN, known('bob', ['admin'], -30)],
      'APPROVER_TOO_NEW',
    ],
    [
      'somebody new whom they introduced through another',
      ['admin'],
      holder('eve'),
      [ADMIN, known('bob', ['admin'], DAY), known('eve', ['bob'], 30)],
      'APPROVER_TOO_NEW',
    ],
    [
      'somebody new whom they introduced asks, and they approve',
      ['bob'],
      holder('admin'),
      [ADMIN, known('bob', ['admin'], 30)],
      'APPROVER_TOO_NEW',
    ],
    [
      'two whom one person introduced within the hour',
      ['bob'],
      holder('eve'),
      [ADMIN, known('bob', ['admin'], 30), known('eve', ['admin'], 20)],
      'APPROVER_TOO_NEW',
    ],
    [
      'the first admin, to whom whoever asks has linked an identity within the hour',
      ['bob'],
      holder('admin'),
      [known('admin', ['bob'], 30, 'first-start'), known('bob', [], DAY)],
      'APPROVER_TOO_NEW',
    ],
    [
      'an admin token that was recovered within the hour approves',
      ['bob'],
      holder('admin'),
      [known('admin', [], 30, 'recovery'), known('bob', [], DAY)],
      'APPROVER_TOO_NEW',
    ],
    [
      'an admin token that was recovered within the hour asks',
      ['admin'],
      holder('bob'),
      [known('admin', [], 30, 'recovery'), known('bob', [], DAY)],
      'APPROVER_TOO_NEW',
    ],
  ])('%s', (_, asking, approver, people, code) => {
    expect(judge(asking, approver, people)).toMatchObject({ code });
  });

  test('and a machine is none', () => {
    const ci: Principal = { name: 'ci', role: 'admin', regions: null, hands: ['bob'] };
    expect(judge(['admin'], ci, [ADMIN])).toMatchObject({ code: 'MACHINE_CANNOT_APPROVE' });
  });

  test('whoever asked is found by the name of the token too, for requests from before', () => {
    expect(judge([], holder('bob'), [], 'bob')).toMatchObject({ code: 'APPROVAL_SELF' });
  });
});

describe('two people are two', () => {
  test.each<[string, readonly string[], Principal, readonly Acquaintance[], object]>([
    [
      'whom a third introduced',
      ['ann'],
      holder('bob'),
      [ADMIN, known('ann', ['admin'], DAY), known('bob', ['admin'], DAY)],
      { introducedBy: 'admin', caution: null },
    ],
    [
      'of whom one is new, and whom a third introduced',
      ['ann'],
      holder('bob'),
      [ADMIN, known('ann', ['admin'], DAY), known('bob', ['admin'], 5)],
      { introducedBy: 'admin', caution: null },
    ],
    [
      'who introduced the approver more than an hour before, which is shown',
      ['admin'],
      holder('bob'),
      [ADMIN, known('bob', ['admin'], 61)],
      { introducedBy: 'admin', caution: 'admin asked, and introduced bob' },
    ],
    [
      'whom the approver introduced more than an hour before, which is shown',
      ['bob'],
      holder('admin'),
      [ADMIN, known('bob', ['admin'], 61)],
      { introducedBy: 'the first start', caution: 'admin introduced bob, who asked' },
    ],
    [
      'of whom the approver has a token from before the upgrade, which is shown',
      ['admin'],
      holder('bob'),
      [ADMIN, known('bob', [], 0, 'upgrade')],
      { introducedBy: 'the upgrade', caution: expect.stringContaining('before Portcullis knew people') },
    ],
    [
      'of whom the approver belongs to the sample world, which is shown',
      ['admin'],
      holder('demo'),
      [ADMIN, known('demo', [], 0, 'sample')],
      { introducedBy: 'the sample world', caution: expect.stringContaining('no second human') },
    ],
    [
      'of whom the approver recovered a token more than an hour before, which is shown',
      ['bob'],
      holder('admin'),
      [known('admin', [], 61, 'recovery'), known('bob', [], DAY)],
      { introducedBy: 'a recovery without a token', caution: expect.stringContaining('recovered') },
    ],
    ['of whom a machine of nobody’s asked', [], holder('admin'), [ADMIN], { caution: null }],
  ])('%s', (_, asking, approver, people, said) => {
    expect(judge(asking, approver, people)).toMatchObject(said);
  });

  test('introductions in a circle end', () => {
    const people = [known('ann', ['bob'], DAY), known('bob', ['ann'], DAY)];
    expect(judge(['ann'], holder('bob'), people)).toMatchObject({
      caution: 'ann asked, and introduced bob',
    });
  });
});

describe('the identity provider', () => {
  const BOB = known('bob', [], DAY);

  test('vouches that two who sign in by it are two, also if one does so for the first time', () => {
    const people = [vouched('ann', 1), vouched('eve', DAY)];
    expect(judge(['ann'], holder('eve'), people)).toEqual({
      introducedBy: 'the identity provider',
      caution: null,
    });
    expect(judge(['eve'], holder('ann'), people)).toMatchObject({ caution: null });
  });

  test.each([
    ['approves', ['bob'], 'ann'],
    ['asked', ['ann'], 'bob'],
  ])(
    'vouches for no holder of a token: one who signed in first within the hour %s in vain',
    (_, asking, by) => {
      expect(judge(asking, holder(by), [vouched('ann', 30), BOB])).toMatchObject({
        code: 'APPROVER_TOO_NEW',
        why: expect.stringContaining('bob has tokens alone, and ann signed in') as unknown,
      });
    },
  );

  test('leaves a caution, an hour later', () => {
    for (const [asking, by] of [
      ['bob', 'ann'],
      ['ann', 'bob'],
    ] as const) {
      expect(judge([asking], holder(by), [vouched('ann', DAY), BOB])).toMatchObject({
        caution:
          'ann signs in by the identity provider, and bob has tokens alone: nothing shows that they are two',
      });
    }
  });
});
