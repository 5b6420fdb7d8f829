import { expect, test } from '@jest/globals';
import { FAR_SLOT } from '../support/far-slot.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { provisionLogins } from '../../src/postgres/logins.js';
import { migrate } from '../../src/postgres/migrate.js';
import { openPool } from '../../src/postgres/pool.js';
import { SCHEMAS } from '../support/database.js';
import { portcullis } from '../support/portcullis.js';
import { streamingPair } from '../support/streaming-pair.js';
import { until } from '../support/until.js';
import { adminHome } from '../support/people.js';

/** A command that is led to a standby: looks work, and acts say that the database takes no writes. */

const pair = await streamingPair();
const name = 'standby_only';

test('a real standby is looked at, and what would write to it is refused as read-only', async () => {
  await pair.primary.query(`create database ${name}`);
  const owner = openPool(pair.primary.url(name), { name: 'test' });
  owner.on('error', () => undefined);
  await migrate(owner, SCHEMAS);
  await provisionLogins(owner, ['control', 'region']);
  const policy = `job: domain-claim\nschedule: '${FAR_SLOT}'\nregions: [eu-west-1]\n`;
  await applyPolicies(owner, [parsePolicyFile(policy, 'policy.yaml')], 'test');
  const home = await adminHome(owner);
  await owner.end();
  const replica = openPool(pair.standby.url(name), { name: 'test' });
  replica.on('error', () => undefined);
  await until('the standby has the policy', async () => {
    const { rowCount } = await replica
      .query('select from portcullis_control.flag')
      .catch(() => ({ rowCount: 0 }));
    return rowCount === 1;
  });
  await replica.end();
  const env = { PORTCULLIS_DATABASE_URL: pair.standby.url(name), PORTCULLIS_HOME: home };
  const command = async (...args: string[]) => portcullis([...args, '--json'], { env }).finished;

  const status = await command('status');
  expect([status.code, status.stderr]).toEqual([0, '']);
  expect(JSON.parse(status.stdout)).toMatchObject({ jobs: [{ job: 'domain-claim' }] });

  for (const act of [
    ['flags', 'set', 'domain-claim', '--region', 'eu-west-1', '--off', '--reason', 'x'],
    ['tokens', 'issue', 'ci', '--role', 'viewer'],
    ['notifications', 'test'],
  ]) {
    const { code, stderr } = await command(...act);
    expect([act, code, stderr]).toEqual([act, 1, expect.stringContaining('DATABASE_READ_ONLY')]);
  }

  // A kill says that it has not taken hold, and why.
  const kill = await command('kill', 'domain-claim', '--reason', 'x', '--no-wait');
  expect([kill.code, kill.stderr]).toEqual([1, expect.stringContaining('KILL_INCOMPLETE')]);
  expect(kill.stderr).toContain('its database takes no writes');
}, 240_000);
