import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Change } from '../../../src/sdk/contract.js';
import type { PerspectiveAnswer } from '../../../src/lookup/dns.js';
import { domainClaim } from '../../../src/jobs/domain-claim/job.js';
import { challengeName } from '../../../src/jobs/domain-claim/proof.js';
import {
  REGION,
  START_MS,
  HOUR_MS,
  DAY_MS,
  world,
  database,
  at,
  verified,
  gist,
  organisation,
  account,
  domain,
  publish,
  context,
  plan,
  apply,
  states,
} from './world.js';

describe('what a check may do to a verified domain', () => {
  test('all resolvers down demotes nobody, and claims go on until the evidence is too old', async () => {
    await organisation('acme');
    await domain('d1', 'acme', { ...verified(), next_check_at: at(-1) });
    await account('ada');
    world.txt.set(challengeName('acme.com'), { kind: 'indeterminate', code: 'TIMEOUT' });
    expect(gist(await plan(['acme']))).toEqual(['claim ada', 'note d1']);
    for (let day = 0; day < 7; day += 1) {
      const changes = (await plan(['acme'])).filter(({ resource }) => resource === 'domain');
      expect(changes[0]).toMatchObject({
        evidence: { dns: { '192.0.2.1:53': 'TIMEOUT' }, https: 'UNREACHABLE' },
      });
      await apply(changes);
      world.nowMs += DAY_MS;
    }
    expect(await states('domain')).toEqual({ d1: 'VERIFIED' });
    expect(gist(await plan(['acme']))).toEqual(['note d1']);
  });

  test('absence, confirmed, puts it at risk; then it recovers, or lapses after its grace', async () => {
    await organisation('acme');
    await domain('d1', 'acme', { ...verified(), next_check_at: at(-1) });
    await account('ada');
    const kinds: string[][] = [];
    const turn = async (laterMs: number) => {
      const changes = await plan(['acme']);
      kinds.push(gist(changes));
      expect(await apply(changes.filter(({ resource }) => resource === 'domain'))).toEqual([]);
      world.nowMs += laterMs;
    };
    await turn(HOUR_MS); // the first absence
    await turn(HOUR_MS); // confirmed: no claims on it in this very plan
    publish('acme.com', 'd1');
    await turn(DAY_MS + HOUR_MS);
    world.txt.clear();
    await turn(HOUR_MS);
    await turn(7 * DAY_MS + HOUR_MS);
    await turn(HOUR_MS);
    await turn(HOUR_MS);
    expect(kinds).toEqual([
      ['claim ada', 'note d1'],
      ['at-risk d1'],
      ['recover d1'],
      ['claim ada', 'note d1'],
      ['at-risk d1'],
      ['lapse d1'],
      [],
    ]);
    expect(await states('domain')).toEqual({ d1: 'LAPSED' });
  });

  test('a pending domain without proof expires after seven days, and stays so though the token appears', async () => {
    await organisation('acme');
    await domain('d1', 'acme');
    const seen: string[] = [];
    while (seen.length < 60 && seen.at(-1) !== 'expire d1') {
      const changes = await plan(['acme']);
      seen.push(...gist(changes));
      await apply(changes);
      const { rows } = await database.owner.query<{ next: Date | null }>(
        'select next_check_at as next from directory.domain',
      );
      world.nowMs = rows[0]?.next?.getTime() ?? world.nowMs;
    }
    expect(seen.at(-1)).toBe('expire d1');
    expect(world.nowMs - (START_MS - 2 * DAY_MS)).toBeGreaterThanOrEqual(7 * DAY_MS);
    expect(world.nowMs - (START_MS - 2 * DAY_MS)).toBeLessThan(7 * DAY_MS + HOUR_MS);
    publish('acme.com', 'd1');
    world.nowMs += DAY_MS;
    expect(await plan(['acme'])).toEqual([]);
  });
});

describe('many domains', () => {
  beforeEach(async () => {
    await organisation('acme');
    await database.owner.query(
      `insert into directory.request (id, organisation_id, domain_name, requested_by, requested_at, token, token_issued_at)
       select 'r' || n, 'acme', 'acme' || n || '.com', 'admin-of-acme', $1, md5(n::text), $2 from generate_series(1, 2000) n`,
      [at(-2 * DAY_MS), at(-2 * DAY_MS + 1_000)],
    );
    await database.owner.query(
      `insert into directory.domain (id, name, organisation_id, home_region, request_id)
       select 'd' || n, 'acme' || n || '.com', 'acme', $1, 'r' || n from generate_series(1, 2000) n`,
      [REGION],
    );
  });

  test('are looked up side by side, but never more than 64 at once', async () => {
    let running = 0;
    let most = 0;
    const txt = async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resume) => setImmediate(resume));
      running -= 1;
      return [];
    };
    const changes = await plan(['acme'], { dns: { txt } });
    expect(new Set(gist(changes)).size).toBe(2_000);
    expect(most).toBe(64);
  });

  test('are proposed as their answers come: one name server that hangs holds up only its own', async () => {
    let finish: (answers: readonly PerspectiveAnswer[]) => void = () => undefined;
    const hanging = new Promise<readonly PerspectiveAnswer[]>((resolve) => (finish = resolve));
    const txt = (name: string) => (name === challengeName('acme7.com') ? hanging : Promise.resolve([]));
    const changes = domainClaim.plan(context(['acme'], { dns: { txt } }))[Symbol.asyncIterator]();
    for (let count = 0; count < 1_999; count += 1) {
      const next = await changes.next();
      expect((next.value as Change).key).not.toBe('d7');
    }
    finish([]);
    expect(((await changes.next()).value as Change).key).toBe('d7');
    expect((await changes.next()).done).toBe(true);
  });

  test('end at once when the run must stop', async () => {
    const stop = new AbortController();
    const changes: Change[] = [];
    const consume = async () => {
      for await (const change of domainClaim.plan(context(['acme'], { signal: stop.signal }))) {
        changes.push(change);
        if (changes.length === 10) stop.abort(new Error('lease lost'));
      }
    };
    await expect(consume()).rejects.toThrow('lease lost');
    expect(changes.length).toBeLessThan(10 + 64);
  });
});
