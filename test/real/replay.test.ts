import { afterAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { ReplayJson, WorldJson } from '../../src/demo/incident/result-json.js';
import { startEmbedded } from '../../src/postgres/embedded-server.js';
import { portcullis, temporaryFolder } from '../support/portcullis.js';
import { until } from '../support/until.js';

/**
 * `portcullis replay` as a stranger runs it, on the embedded server, with 20,000 accounts. All seeds are replayed
 * at once: each replay has databases of its own, and waits for its server as often as the server for it.
 */

const home = await temporaryFolder();
const env = { PORTCULLIS_HOME: home };
// Nothing here outlives the server, so it need not be durable; each replay takes some fifty connections.
const server = await startEmbedded({
  folder: home,
  settings: ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'max_connections=300'],
});
// A connection that stays, so that no replay stops the server.
const client = new pg.Client({ connectionString: server.url, application_name: 'portcullis test' });
await client.connect();
afterAll(async () => {
  await client.end();
  await server.stop();
});

const REPLAY_MS = 300_000;

/** The databases and logins that replays have on the server. */
async function leftOnServer(): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select datname as name from pg_database where starts_with(datname, 'portcullis_replay_')
     union all
     select rolname from pg_roles where starts_with(rolname, 'portcullis_replay_')`,
  );
  return rows.map(({ name }) => name);
}

const INVARIANTS = /verified-domains-are-asked-for|claims-are-asked-for/;
const NOTICED_MS = 118 * 60_000;

const SEEDS = [1, 2, 3];
const replayOf = (seed: number) =>
  portcullis(['replay', '--accounts', '20000', '--regions', '2', '--seed', String(seed), '--json'], { env })
    .finished;
const replays = new Map(SEEDS.map((seed) => [seed, replayOf(seed)]));
const secondOfSeed1 = replayOf(1);

describe.each(SEEDS)('the incident of 2021 with seed %i', (seed) => {
  let answer: ReplayJson | undefined;
  const world = (name: string): WorldJson => {
    const found = answer?.worlds.find((each) => each.name === name);
    if (!found) throw new Error(`there is no world ${name}`);
    return found;
  };

  test(
    'is replayed in five worlds',
    async () => {
      const { code = -1, stdout = '', stderr } = (await replays.get(seed)) ?? {};
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      answer = JSON.parse(stdout) as ReplayJson;
      expect(answer).toMatchObject({ accounts: 20_000, regions: 2, seed });
    },
    REPLAY_MS,
  );

  test.each(['ungated', 'a flag'])(
    '%s: thousands are claimed before people notice, and edits are lost',
    (name) => {
      const { lockedOut, ...rest } = world(name);
      expect(rest.wronglyClaimed).toBeGreaterThan(2_000);
      expect(rest).toMatchObject({ regionsTouched: 2, detectMs: NOTICED_MS, restoredExactly: false });
      expect(rest.stopMs).toBeLessThanOrEqual(15_000);
      expect(rest.virtual).toEqual(['detectMs', 'stopMs']);
      expect(rest.editsLost).toBeGreaterThan(0);
      expect(Object.keys(lockedOut)).toEqual(['Trello', 'Jira', 'Confluence', 'Opsgenie', 'Access']);
      for (const users of Object.values(lockedOut)) expect(users).toBeGreaterThan(100);
    },
  );

  test('Portcullis as shipped: nothing is claimed, for its rules judge the plan first', () => {
    const { noticedBy, ...rest } = world('Portcullis');
    expect(rest).toMatchObject({ wronglyClaimed: 0, regionsTouched: 0, organisationsTouched: 0 });
    expect(rest).toMatchObject({ restoreMs: null, rowsRestored: 0, editsLost: 0, restoredExactly: true });
    expect(rest).toMatchObject({ virtual: [], real: ['detectMs', 'stopMs'] });
    expect(Object.values(rest.lockedOut)).toEqual([0, 0, 0, 0, 0]);
    expect(noticedBy).toMatch(INVARIANTS);
  });

  test('without invariants: nothing is claimed, for there is far too much of it', () => {
    const { noticedBy, ...rest } = world('Portcullis, without invariants');
    expect(rest).toMatchObject({
      wronglyClaimed: 0,
      organisationsTouched: 0,
      editsLost: 0,
      restoredExactly: true,
    });
    expect(noticedBy).not.toMatch(INVARIANTS);
    expect(noticedBy).toMatch(/verifications-per-run/);
  });

  test('by login failures alone: stopped in one region, and taken back exactly', () => {
    const { noticedBy, ...rest } = world('Portcullis, login failures only');
    expect(noticedBy).toMatch(/^logins: /);
    expect(rest).toMatchObject({ regionsTouched: 1, editsLost: 0, restoredExactly: true });
    expect(rest.wronglyClaimed).toBeGreaterThan(0);
    expect(rest.wronglyClaimed).toBeLessThan(world('ungated').wronglyClaimed / 10);
    expect(rest.detectMs).toBeLessThan(NOTICED_MS);
    expect(rest).toMatchObject({ virtual: ['detectMs'], real: ['stopMs', 'restoreMs'] });
    expect(rest.rowsRestored).toBeGreaterThanOrEqual(rest.wronglyClaimed);
  });
});

/** An answer without what a computer took for it. */
function reproducible(answer: ReplayJson) {
  const without = (names: readonly string[], of: object) =>
    Object.fromEntries(Object.entries(of).filter(([name]) => !names.includes(name)));
  return {
    ...without(['tookMs'], answer),
    worlds: answer.worlds.map((world) => without(world.real, world)),
  };
}

test(
  'two replays of one seed differ in nothing but what they took',
  async () => {
    const [first, second] = await Promise.all([replays.get(1), secondOfSeed1]);
    const [one, other] = [first, second].map((each) => JSON.parse(each?.stdout ?? '') as ReplayJson);
    if (one === undefined || other === undefined) throw new Error('a replay has answered nothing');
    expect(reproducible(other)).toEqual(reproducible(one));
    expect(one.worlds.flatMap(({ real }) => real).length).toBeGreaterThan(0);
  },
  REPLAY_MS,
);

test('none of the replays has left anything behind', async () => {
  await Promise.all([...replays.values(), secondOfSeed1]);
  expect(await leftOnServer()).toEqual([]);
});

describe('a replay that is cut short', () => {
  const small = ['replay', '--accounts', '2000', '--regions', '1', '--json'];

  test.each([
    ['while it makes the world', /_before$/],
    ['in the middle of a world', /_world$/],
  ])(
    'by Ctrl-C %s drops what it has made',
    async (_, database) => {
      const { child, finished } = portcullis(small, { env });
      const there = async (): Promise<boolean> => (await leftOnServer()).some((name) => database.test(name));
      await until('the replay has come that far', there, REPLAY_MS);
      child.kill('SIGINT');
      const { code, stdout } = await finished;
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(await leftOnServer()).toEqual([]);
    },
    REPLAY_MS,
  );

  test(
    'by a kill leaves it to the next one to drop',
    async () => {
      const { child, finished } = portcullis(small, { env });
      await until('the replay has logins', async () => (await leftOnServer()).length > 1, REPLAY_MS);
      child.kill('SIGKILL');
      await finished;
      const left = await leftOnServer();
      expect(left.length).toBeGreaterThan(1);
      const next = portcullis(small, { env });
      const gone = async (): Promise<boolean> => {
        const now = await leftOnServer();
        return left.every((name) => !now.includes(name));
      };
      await until('the next replay has dropped it', gone, REPLAY_MS);
      next.child.kill('SIGINT');
      await next.finished;
      expect(await leftOnServer()).toEqual([]);
    },
    REPLAY_MS,
  );
});
