import { readFile } from 'node:fs/promises';
import { afterAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { gateLockName } from '../../src/gate/lock.js';
import { startEmbedded } from '../../src/postgres/embedded-server.js';
import { NAMED_LOCKS } from '../../src/postgres/locks.js';
import { FAR_SLOT } from '../support/far-slot.js';
import { portcullis, temporaryFolder, untilWith } from '../support/portcullis.js';

/** A server that takes no more connections does not shut a kill out: every process that serves holds its own open. */

const home = await temporaryFolder();
const flags = await temporaryFolder({
  'domain-claim.yaml': `job: domain-claim\nschedule: '${FAR_SLOT}'\nregions: [eu-west-1]\nguard: { caps: [] }\n`,
});
const server = await startEmbedded({
  folder: home,
  settings: ['fsync=off', 'max_connections=60', 'superuser_reserved_connections=0'],
});
const taken: pg.Client[] = [];
afterAll(async () => {
  await Promise.all(taken.map((client) => client.end()));
  await server.stop();
});

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: server.url, application_name: 'test' });
  client.on('error', () => undefined);
  await client.connect();
  taken.push(client);
  return client;
}

/** Takes every connection that the server still gives. */
async function takeAll(): Promise<void> {
  for (;;) {
    try {
      await connect();
    } catch (error) {
      expect(error).toMatchObject({ code: '53300' });
      return;
    }
  }
}

interface Started {
  readonly event: string;
  readonly http: string;
  readonly adminToken: { readonly file: string };
}

test('a kill over HTTP gets through, and ends who holds the gate', async () => {
  const serving = portcullis(['start', '--json'], {
    env: {
      PORTCULLIS_DATABASE_URL: server.url,
      PORTCULLIS_HOME: await temporaryFolder(),
      PORTCULLIS_FLAGS: flags,
      PORTCULLIS_HTTP: '127.0.0.1:0',
      PORTCULLIS_LOG_LEVEL: 'silent',
    },
  });
  let text = '';
  serving.child.stdout?.on('data', (part: string) => (text += part));
  await untilWith(serving, 'it waits for its schedule', () => text.includes('"waiting"'));
  const events = text.split('\n').filter((line) => line.startsWith('{'));
  const { http, adminToken } = events
    .map((line) => JSON.parse(line) as Started)
    .find(({ event }) => event === 'started') as Started;
  const token = (await readFile(adminToken.file, 'utf8')).trim();

  const writer = await connect();
  await writer.query('begin');
  await writer.query('select pg_advisory_xact_lock_shared($1, hashtext($2))', [
    NAMED_LOCKS.gate,
    gateLockName('domain-claim', 'eu-west-1'),
  ]);
  await takeAll();

  const answer = await fetch(`${http}/api/v1/jobs/domain-claim/kill`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ reason: 'the server is full' }),
  });
  const body: unknown = await answer.json();
  expect([answer.status, body]).toEqual([
    200,
    expect.objectContaining({
      killed: [expect.objectContaining({ region: 'eu-west-1', inFlight: 1, terminated: 1 })],
      failed: [],
    }),
  ]);
  const { rows } = (await taken.at(-1)?.query('select state from portcullis_region.gate')) ?? { rows: [] };
  expect(rows).toEqual([{ state: 'killed' }]);
});
