import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { emptyDatabase, type GuestDatabase } from '../support/database.js';
import { FAR_SLOT } from '../support/far-slot.js';
import { portcullis, temporaryFolder, untilWith, type Running } from '../support/portcullis.js';

/**
 * Two teams with one installation: each has a job, in a folder of its own, with tables that it brings, in a database of
 * its own. Both call their resource `account`.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TEAMS = ['billing', 'support'] as const;
type Team = (typeof TEAMS)[number];
const REGION: Readonly<Record<Team, string>> = { billing: 'eu-billing', support: 'eu-support' };

const project = await temporaryFolder();
const control = await emptyDatabase();
const databases: Readonly<Record<Team, GuestDatabase>> = {
  billing: await emptyDatabase(),
  support: await emptyDatabase(),
};
const env = {
  PORTCULLIS_HOME: join(project, '.portcullis'),
  PORTCULLIS_HTTP: '127.0.0.1:0',
  PORTCULLIS_DATABASE_URL: control.url,
  PORTCULLIS_DATABASE_URL_BILLING: databases.billing.url,
  PORTCULLIS_DATABASE_URL_SUPPORT: databases.support.url,
};

const jobOf = (team: Team): string => `
import { defineJob, table } from 'portcullis';
export const ${team} = defineJob({
  name: '${team}',
  version: '1.0.0',
  unit: { table: '${team}.tenant', key: 'id', region: 'region' },
  resources: { account: table('${team}.account', { key: 'id', changes: ['state'], compares: ['tenant'] }) },
  kinds: { close: 'account' },
  migrations: { folder: new URL('./migrations/', import.meta.url), schemas: ['${team}'] },
  async *plan({ rows, units }) {
    for await (const { id, ...before } of rows\`select id, state, tenant from ${team}.account where state = 'open' order by id\`)
      if (units.has(before.tenant))
        yield { kind: 'close', resource: 'account', key: id, unit: before.tenant, before, after: { state: 'closed by ${team}' }, evidence: {} };
  },
});
`;

const tablesOf = (team: Team): string => `
create schema ${team};
create table ${team}.tenant (id text primary key, region text not null);
create table ${team}.account (id text primary key, tenant text not null references ${team}.tenant, state text not null);
`;

/** Found by its name alone, in the schema of the job that is judged. */
const policyOf = (team: Team): string => `
job: ${team}
schedule: '${FAR_SLOT}'
regions: { ${REGION[team]}: { database: PORTCULLIS_DATABASE_URL_${team.toUpperCase()} } }
guard:
  rules:
    - kind: invariant
      name: known-accounts
      sql: select p.key from proposed p left join account a on a.id = p.key where a.id is null
`;

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(project, path)), { recursive: true });
  await writeFile(join(project, path), text);
}

const ask = async (...args: string[]): Promise<{ code: number | null; said: Record<string, unknown> }> => {
  const { code, stdout, stderr } = await portcullis([...args, '--json'], { cwd: project, env }).finished;
  return { code, said: JSON.parse(stdout === '' ? stderr : stdout) as Record<string, unknown> };
};

async function statesOf(team: Team): Promise<Record<string, number>> {
  const { rows } = await databases[team].owner.query<{ state: string; n: number }>(
    `select state, count(*)::integer as n from ${team}.account group by state`,
  );
  return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
}

async function schemasIn(owner: pg.Pool): Promise<string[]> {
  const { rows } = await owner.query<{ name: string }>(
    `select nspname as name from pg_namespace where nspname in ('billing', 'support', 'directory') order by 1`,
  );
  return rows.map(({ name }) => name);
}

let serving: Running;

beforeAll(async () => {
  await mkdir(join(project, 'node_modules'));
  await symlink(ROOT, join(project, 'node_modules/portcullis'));
  await write('package.json', '{ "type": "module" }');
  await write(
    'portcullis.config.js',
    `import { defineConfig, env } from 'portcullis';
import { billing } from './jobs/billing/index.js';
import { support } from './jobs/support/index.js';
export default defineConfig({
  jobs: [billing, support],
  databases: {
    billing: { url: env('PORTCULLIS_DATABASE_URL_BILLING') },
    support: { url: env('PORTCULLIS_DATABASE_URL_SUPPORT') },
  },
});
`,
  );
  for (const team of TEAMS) {
    await write(`jobs/${team}/index.js`, jobOf(team));
    await write(`jobs/${team}/migrations/001-tables.sql`, tablesOf(team));
    await write(`flags/${team}.yaml`, policyOf(team));
  }
  serving = portcullis(['start', '--json'], { cwd: project, env });
  let out = '';
  serving.child.stdout?.on('data', (text: string) => (out += text));
  await untilWith(serving, 'it serves', () => out.includes('"event":"waiting"'));
  for (const team of TEAMS)
    await databases[team].owner.query(
      `insert into ${team}.tenant select 't' || n, $1 from generate_series(1, 5) n`,
      [REGION[team]],
    );
  for (const team of TEAMS)
    await databases[team].owner.query(
      `insert into ${team}.account select n::text, 't' || (1 + n % 5), 'open' from generate_series(1, 50) n`,
    );
  for (const team of TEAMS) {
    const initial = ['rollout', 'start', team, '--version', 'installed', '--initial', '--reason', 'first'];
    expect(await ask(...initial)).toMatchObject({ code: 0 });
    const on = ['flags', 'set', team, '--region', REGION[team], '--on', '--version', 'installed'];
    expect(await ask(...on, '--share', '100%', '--reason', 'first')).toMatchObject({ code: 0 });
  }
}, 120_000);

describe('two teams in one installation', () => {
  const runs: Partial<Record<Team, string>> = {};

  test('have each job’s tables in its own database, and none in the control database', async () => {
    expect(await schemasIn(databases.billing.owner)).toEqual(['billing']);
    expect(await schemasIn(databases.support.owner)).toEqual(['support']);
    expect(await schemasIn(control.owner)).toEqual([]);
    const { said } = await ask('doctor');
    const findings = said['findings'] as { check: string; mark: string; found: string }[];
    expect(findings.filter(({ mark, check }) => mark === 'fail' && check !== 'node')).toEqual([]);
    expect(findings.filter(({ check }) => check === 'tables').map(({ found }) => found)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('PORTCULLIS_DATABASE_URL_BILLING: the tables of billing are as declared'),
        expect.stringContaining('PORTCULLIS_DATABASE_URL_SUPPORT: the tables of support are as declared'),
      ]),
    );
  });

  test.each(TEAMS)('%s runs on its own rows alone, judged by its own policy', async (team) => {
    const { code, said } = await ask('run', team, '--region', REGION[team]);
    expect([said['reason'], code]).toEqual(['every change was applied', 0]);
    expect({ code, said }).toMatchObject({ code: 0, said: { status: 'succeeded', applied: { close: 50 } } });
    runs[team] = String(said['runId']);
    expect(await statesOf(team)).toEqual({ [`closed by ${team}`]: 50 });
    const shown = await ask('run', 'show', String(said['runId']));
    expect(JSON.stringify(shown.said)).toContain('known-accounts: holds');
  });

  test('are asked about by job and resource, where both have rows of that key', async () => {
    for (const team of TEAMS) {
      const { said } = await ask('asof', `${team}/account:7`, '--at', new Date().toISOString());
      expect(JSON.stringify(said)).toContain(`closed by ${team}`);
    }
  });

  test('are killed one by one: the other goes on', async () => {
    expect(await ask('kill', 'billing', '--reason', 'too many are closed')).toMatchObject({ code: 0 });
    for (const team of TEAMS)
      await databases[team].owner.query(`insert into ${team}.account values ('new', 't1', 'open')`);
    const held = await ask('run', 'billing', '--region', REGION.billing);
    expect(held).toMatchObject({ code: 3, said: { status: 'held' } });
    expect(await ask('run', 'support', '--region', REGION.support)).toMatchObject({
      code: 0,
      said: { status: 'succeeded', applied: { close: 1 } },
    });
    expect(await statesOf('billing')).toEqual({ 'closed by billing': 50, open: 1 });
  });

  test('are restored one by one: the rows of the other stay', async () => {
    const before = await statesOf('support');
    expect(await ask('restore', runs.billing ?? '')).toMatchObject({ code: 0 });
    expect(await statesOf('billing')).toEqual({ open: 51 });
    expect(await statesOf('support')).toEqual(before);
  });

  test('go on where the other team’s database is away', async () => {
    serving.child.kill('SIGTERM');
    expect((await serving.finished).code).toBe(0);
    const away = { ...env, PORTCULLIS_DATABASE_URL_BILLING: 'postgresql://nobody@127.0.0.1:1/nothing' };
    const alone = portcullis(['start', '--json'], { cwd: project, env: away });
    let out = '';
    alone.child.stdout?.on('data', (text: string) => (out += text));
    await untilWith(alone, 'it serves', () => out.includes('"event":"waiting"'));
    await databases.support.owner.query(`insert into support.account values ('newer', 't2', 'open')`);
    const { finished } = portcullis(['run', 'support', '--region', REGION.support, '--json'], {
      cwd: project,
      env: away,
    });
    expect(await finished).toMatchObject({ code: 0, stdout: expect.stringContaining('"close":1') });
    alone.child.kill('SIGTERM');
    expect((await alone.finished).code).toBe(0);
  });
});
