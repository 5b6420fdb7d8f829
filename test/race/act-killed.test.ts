import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { testDatabase } from '../support/database.js';
import { portcullis, temporaryFolder, untilWith, type ProcessSetting } from '../support/portcullis.js';

/** A server that is killed between what an act did and its answer: the same call with the same key, at another server. */

const { owner, url } = await testDatabase();
const env = {
  PORTCULLIS_DATABASE_URL: url,
  PORTCULLIS_HOME: await temporaryFolder(),
  PORTCULLIS_HTTP: '127.0.0.1:0',
  PORTCULLIS_LOG_LEVEL: 'silent',
};

interface Started {
  readonly event: string;
  readonly http: string;
  readonly adminToken: { readonly file: string };
}

async function start(setting: ProcessSetting) {
  const running = portcullis(['start', '--json'], { ...setting, env });
  let text = '';
  running.child.stdout?.on('data', (part: string) => (text += part));
  await untilWith(running, 'it waits for its schedule', () => text.includes('"waiting"'));
  const started = text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Started)
    .find(({ event }) => event === 'started') as Started;
  const token = (await readFile(started.adminToken.file, 'utf8')).trim();
  return {
    ...running,
    call: (path: string, key: string, body: object) =>
      fetch(`${started.http}/api/v1/${path}`, {
        method: 'POST',
        headers: {
          ...{ authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          'idempotency-key': key,
        },
        body: JSON.stringify(body),
      }),
  };
}

test('it is carried out once, and whoever repeats it is told that it was', async () => {
  const key = randomUUID();
  const body = { name: 'zoe', role: 'viewer' };
  const first = await start({ killAt: 'act.answered' });
  await expect(first.call('people', key, body)).rejects.toThrow();
  expect((await first.finished).signal).toBe('SIGKILL');
  const { rows } = await owner.query(
    'select commits, settled_at from portcullis_control.idempotency_key where key = $1',
    [key],
  );
  expect(rows).toEqual([{ commits: 1, settled_at: null }]);

  const second = await start({});
  // Two minutes later.
  await owner.query(
    `update portcullis_control.idempotency_key set begun_at = begun_at - interval '2 minutes' where key = $1`,
    [key],
  );
  const repeated = await second.call('people', key, body);
  expect([repeated.status, await repeated.json()]).toEqual([
    409,
    expect.objectContaining({
      code: 'IDEMPOTENCY_ANSWER_NOT_KEPT',
      detail: expect.stringContaining('its process ended before it answered'),
    }),
  ]);
  const { rowCount } = await owner.query(
    `select from portcullis_control.audit where action = 'add-person' and subject = 'zoe'`,
  );
  expect(rowCount).toBe(1);
  second.child.kill('SIGTERM');
  await second.finished;
});
