import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { emptyDatabase } from '../support/database.js';
import { FAR_SLOT } from '../support/far-slot.js';
import { installPacked } from '../support/packed.js';
import { portcullis, temporaryFolder, untilWith } from '../support/portcullis.js';
import { runProgram, type Said } from '../support/program.js';

/**
 * Another team's job, from the packed package in a folder of its own, on a database of its own: the commands of
 * docs/guide/own-job.md, as they stand there and in that order.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PATIENCE_MS = 300_000;

const guide = await readFile(join(ROOT, 'docs/guide/own-job.md'), 'utf8');
const [setUp = '', start = '', first = '', stop = ''] = [...guide.matchAll(/```sh\n([^]*?)```/g)].map(
  ([, block]) => block ?? '',
);

const project = await temporaryFolder();
const control = await emptyDatabase();
const crm = await emptyDatabase();
const sampled = { control: await emptyDatabase(), crm: await emptyDatabase() };
const programs = join(project, 'node_modules/.bin');
const main = join(project, 'node_modules/portcullis/dist/main.js');
const env = {
  PATH: `${programs}:${process.env['PATH'] ?? ''}`,
  PORTCULLIS_HOME: join(project, '.portcullis'),
  PORTCULLIS_HTTP: '127.0.0.1:0',
  PORTCULLIS_DATABASE_URL: control.url,
  PORTCULLIS_DATABASE_URL_CRM: crm.url,
  // The tests' own; set to nothing, it is no variable.
  PORTCULLIS_TEST_SERVER: '',
};
const shell = (script: string, more: Readonly<Record<string, string>> = {}): Promise<Said> =>
  runProgram('bash', ['--norc', '-euo', 'pipefail', '-c', script], {
    cwd: project,
    env: { ...env, ...more },
  });
const command = (line: string, more?: Readonly<Record<string, string>>): Promise<Said> =>
  shell(`npx portcullis ${line}`, more);

/** Every row of the team's tables, to the last byte. */
async function checksums(pool: pg.Pool = crm.owner): Promise<Record<string, string>> {
  const { rows } = await pool.query<Record<string, string>>(
    `select (select md5(string_agg(t::text, '|' order by t::text)) from public.tenants t) as tenants,
       (select md5(string_agg(c::text, '|' order by c::text)) from public.customers c) as customers,
       (select md5(string_agg(s::text, '|' order by s::text)) from public.sessions s) as sessions`,
  );
  return rows[0] ?? {};
}

beforeAll(async () => {
  await cp(join(ROOT, 'examples/dormant-cleanup'), project, { recursive: true });
  await installPacked(project);
  // By hand alone, whatever time it is.
  const policy = join(project, 'flags/dormant-cleanup.yaml');
  await writeFile(policy, (await readFile(policy, 'utf8')).replace("'0 3 * * *'", `'${FAR_SLOT}'`));
  await mkdir(programs);
  // Neither asks a registry: the packed package, and the driver in place of a psql that may not be installed.
  await writeFile(join(programs, 'npx'), `#!/bin/sh\nshift\nexec '${process.execPath}' '${main}' "$@"\n`, {
    mode: 0o755,
  });
  await writeFile(
    join(programs, 'psql'),
    `#!/usr/bin/env node
const { createRequire } = require('node:module');
const pg = createRequire(${JSON.stringify(main)})('pg');
const [, , connectionString, , file] = process.argv;
const client = new pg.Client({ connectionString });
client.connect().then(() => client.query(require('node:fs').readFileSync(file, 'utf8'))).then(() => client.end());
`,
    { mode: 0o755 },
  );
  await writeFile(join(programs, 'package.json'), '{"type": "commonjs"}');
  for (const file of [join(project, 'schema.sql'), join(ROOT, 'test/support/dormant-rows.sql')])
    await crm.owner.query(await readFile(file, 'utf8'));
}, PATIENCE_MS);

describe('another team’s job', () => {
  test(
    'type-checks against the package, and a column that it does not declare does not',
    async () => {
      const tsc = (): Promise<Said> =>
        runProgram(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', '.'], {
          cwd: project,
        });
      expect(await tsc()).toEqual({ exit: 0, stdout: '', stderr: '' });
      const file = join(project, 'jobs/dormant-cleanup/index.ts');
      const text = await readFile(file, 'utf8');
      await writeFile(file, text.replace(`after: { standing: 'dormant' }`, `after: { status: 'dormant' }`));
      const said = await tsc();
      await writeFile(file, text);
      expect(said.exit).not.toBe(0);
      expect(said.stdout).toMatch(/^jobs\/dormant-cleanup\/index\.ts\(\d+,\d+\): error TS2322/);
    },
    PATIENCE_MS,
  );

  test(
    'runs, is killed and is restored to the last byte, as the guide says',
    async () => {
      const before = await checksums();
      expect(await shell(setUp)).toMatchObject({ exit: 0 });
      expect(start.trim()).toBe('npx portcullis start');
      const serving = portcullis(['start', '--json'], { main, cwd: project, env });
      let out = '';
      serving.child.stdout?.on('data', (text: string) => (out += text));
      await untilWith(serving, 'it serves', () => out.includes('"event":"waiting"'));

      const ran = await shell(first);
      expect(ran).toMatchObject({ exit: 0 });
      expect(ran.stdout).toMatch(/job +dormant-cleanup 1\.0\.0_[0-9a-f]{8} in eu/);
      expect(ran.stdout).toContain('every change was applied');
      const after = await checksums();
      expect(after['tenants']).toBe(before['tenants']);
      expect(after['customers']).not.toBe(before['customers']);
      expect(after['sessions']).not.toBe(before['sessions']);
      const { rows } = await crm.owner.query(
        `select count(*) filter (where standing = 'dormant' and region = 'eu') as eu,
         count(*) filter (where standing = 'dormant' and region = 'us') as us from public.customers`,
      );
      expect(rows).toEqual([{ eu: 100, us: 0 }]);

      const restored = await shell(stop);
      expect({ ...restored, stdout: '' }).toEqual({ exit: 0, stdout: '', stderr: '' });
      expect(restored.stdout).toContain('active');
      expect(await checksums()).toEqual(before);
      serving.child.kill('SIGTERM');
      expect((await serving.finished).code).toBe(0);
    },
    PATIENCE_MS,
  );

  test(
    'brings a command, which is given where the job has its regions, and on record',
    async () => {
      expect((await command('job commands dormant-cleanup')).stdout).toContain('the id of a customer');
      const seen = (...more: string[]) => command(`job do dormant-cleanup seen ${more.join(' ')} --json`);
      const lastSeen = async (): Promise<unknown> =>
        (await crm.owner.query('select last_seen::text as at from public.customers where id = 3')).rows;
      const before = await lastSeen();
      expect(await seen('customer=three')).toMatchObject({ exit: 2, stdout: '' });
      expect(await seen('customer=3', '--region', 'eu')).toMatchObject({ exit: 1 });
      expect(await lastSeen()).toEqual(before);
      const did = await seen('customer=3');
      expect(did).toMatchObject({ exit: 0 });
      expect(JSON.parse(did.stdout)).toEqual({ done: [{ customer: '3', region: 'us' }], unreachable: [] });
      expect(await lastSeen()).not.toEqual(before);
      expect((await command('audit list --limit 5')).stdout).toContain('dormant-cleanup seen');
    },
    PATIENCE_MS,
  );

  test(
    'is stopped, looked at and restored without its code being run',
    async () => {
      const config = join(project, 'portcullis.config.ts');
      const text = await readFile(config, 'utf8');
      const ran = join(project, 'ran');
      await writeFile(
        config,
        `import { appendFileSync } from 'node:fs';\nappendFileSync(${JSON.stringify(ran)}, 'ran');\nthrow new Error('the job is broken');\n${text}`,
      );
      try {
        const [last] = (
          await crm.owner.query<{ id: string }>(
            `select id from portcullis_region.run where restores is not null order by created_at desc limit 1`,
          )
        ).rows;
        // Restoring the restore puts back what the run had done, and needs nobody's code either.
        expect(await command(`restore ${last?.id ?? ''} --dry-run`)).toMatchObject({ exit: 0 });
        expect(await command('kill dormant-cleanup --region us --reason broken')).toMatchObject({ exit: 0 });
        expect(await command('stop --all --reason broken')).toMatchObject({ exit: 0 });
        const status = await command('status');
        expect(status).toMatchObject({ exit: 0 });
        expect(status.stdout).toContain('killed');
        await expect(readFile(ran)).rejects.toThrow('ENOENT');
        const started = await command('worker');
        expect(started.exit).not.toBe(0);
        expect(started.stderr).toContain('portcullis.config.ts: it cannot be loaded: the job is broken');
        expect(await readFile(ran, 'utf8')).toBe('ran');
      } finally {
        await writeFile(config, text);
      }
    },
    PATIENCE_MS,
  );

  test(
    'is tried on its own sample, and never among rows of others',
    async () => {
      const more = {
        ...env,
        PORTCULLIS_HOME: join(project, '.sample'),
        PORTCULLIS_DATABASE_URL: sampled.control.url,
        PORTCULLIS_DATABASE_URL_CRM: sampled.crm.url,
      };
      await sampled.crm.owner.query(await readFile(join(project, 'schema.sql'), 'utf8'));
      expect(await shell(setUp, more)).toMatchObject({ exit: 0 });
      const starting = (...args: string[]) =>
        portcullis(['start', '--sample', '--json', ...args], { main, cwd: project, env: more });
      const serving = starting('--run-now');
      let out = '';
      serving.child.stdout?.on('data', (text: string) => (out += text));
      await untilWith(serving, 'it has run', () => out.includes('"event":"waiting"'), PATIENCE_MS);
      const { rows } = await sampled.crm.owner.query(
        `select region, count(*) filter (where standing = 'dormant') as dormant, count(*) as n from public.customers group by 1 order by 1`,
      );
      expect(rows).toEqual([
        { region: 'eu', dormant: 100, n: 300 },
        { region: 'us', dormant: 100, n: 300 },
      ]);
      serving.child.kill('SIGTERM');
      expect((await serving.finished).code).toBe(0);
      await sampled.crm.owner.query(`insert into public.tenants (name, region) values ('theirs', 'eu')`);
      const refused = await starting().finished;
      expect(refused.code).toBe(2);
      expect(refused.stdout + refused.stderr).toContain('are no sample; nothing was written');
    },
    PATIENCE_MS,
  );

  test(
    'has every fault of its configuration and environment named at once',
    async () => {
      const file = join(project, 'wrong.config.mjs');
      await writeFile(
        file,
        `import { defineConfig, env } from 'portcullis';
      export default defineConfig({ jobs: [{ name: 'x' }], retention: {}, databases: {
        one: { url: env('PORTCULLIS_DATABASE_URL_ONE') }, two: { url: 'postgres://u:secret@h/d' }, three: { url: env('CRM_URL') },
      } });`,
      );
      const said = await command('worker --config wrong.config.mjs');
      expect(said.exit).not.toBe(0);
      for (const fault of [
        'it has retention, which is not known; there is jobs, databases and development',
        'jobs[0] is not what defineJob answers',
        'database one: PORTCULLIS_DATABASE_URL_ONE is not set',
        'database two: its url is not env(',
        'database three: CRM_URL is not a name such as PORTCULLIS_DATABASE_URL_CRM',
      ])
        expect(said.stderr).toContain(fault);
      expect(said.stderr).not.toContain('secret');
    },
    PATIENCE_MS,
  );
});
