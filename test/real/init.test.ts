import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { emptyDatabase } from '../support/database.js';
import { requireProgram } from '../support/debian-package.js';
import { installPacked } from '../support/packed.js';
import { startPodman } from '../support/podman.js';
import { temporaryFolder } from '../support/portcullis.js';
import { runProgram, type Said } from '../support/program.js';
import { until } from '../support/until.js';

/** What `portcullis init` writes beside a database that has what databases have, and what becomes of that. */

const PATIENCE_MS = 600_000;
const VARIABLE = 'PORTCULLIS_DATABASE_URL_APP';

const SCHEMA = `
  create schema app;
  create type app.state as enum ('open', 'late', 'void');
  create table tenants (id uuid primary key default gen_random_uuid(), name text not null unique, region text not null);
  create table app.orders (tenant_id uuid not null references tenants, no bigint not null, placed date not null,
    state app.state not null default 'open', price numeric(10,2) not null check (price > 0),
    total numeric generated always as (price * 2) stored, note varchar(12) not null,
    primary key (tenant_id, no, placed)) partition by range (placed);
  create table app.orders_2026 partition of app.orders for values from ('2026-01-01') to ('2027-01-01');
  create table app.lines (id bigserial primary key, tenant_id uuid not null, no bigint not null, placed date not null,
    foreign key (tenant_id, no, placed) references app.orders on delete cascade);
  create table app.notes (line bigint not null references app.lines on delete cascade, at int, body text not null, primary key (line, at));
  create table app.flags (id int generated always as identity primary key, tenant_id uuid, no bigint, placed date,
    foreign key (tenant_id, no, placed) references app.orders on delete set null);
  create table app.audit (id bigserial primary key, what text not null, at timestamptz not null default now());
  create function app.audited() returns trigger language plpgsql as $$ begin
    insert into app.audit (what) values (tg_op || coalesce(new.no, old.no)); return null; end $$;
  create trigger audited after insert or update or delete on app.orders for each row execute function app.audited();
  alter table app.orders enable row level security;
  create table app.kept (id int primary key, tenant_id uuid not null references tenants, state app.state not null);
  create table app.kept_parts (id int, kept int not null references app.kept on delete cascade);
  insert into tenants (name, region) select 't' || n, case when n < 4 then 'eu' else 'us' end from generate_series(1, 6) n;
  insert into app.orders (tenant_id, no, placed, state, price, note)
    select t.id, k, date '2026-02-01' + k, (case when k % 4 = 0 then 'void' else 'open' end)::app.state, k, 'n' || k
    from tenants t, generate_series(1, 40) k;
  insert into app.lines (tenant_id, no, placed) select tenant_id, no, placed from app.orders, generate_series(1, 3);
  insert into app.notes select id, 1, 'x' from app.lines;
  insert into app.flags (tenant_id, no, placed) select tenant_id, no, placed from app.orders where no % 8 = 0;`;

const project = await temporaryFolder();
const database = await emptyDatabase();
const control = await emptyDatabase();
const podman = await startPodman();
const main = join(project, 'node_modules/portcullis/dist/main.js');
const env = {
  PORTCULLIS_HOME: join(project, '.portcullis'),
  PORTCULLIS_TEST_SERVER: database.url,
  [VARIABLE]: database.url,
};
const command = (...args: string[]): Promise<Said> =>
  runProgram(process.execPath, [main, ...args], { cwd: project, env });
const projectFiles = async (): Promise<string[]> =>
  (await readdir(project)).filter((name) => !/node_modules|tgz$|^\.portcullis$/.test(name)).sort();

/** Answers what `init` asks in a terminal of 80 columns. An answer follows what it waits for. */
async function inTerminal(
  dialogue: readonly (readonly [question: string, answer: string])[],
): Promise<{ readonly code: number; readonly screen: string }> {
  const script = await requireProgram('script', 'bsdutils');
  const line = `stty cols 80 rows 40; exec ${[process.execPath, main, 'init'].map((each) => `'${each}'`).join(' ')}`;
  const child = spawn(script, ['-qec', line, '/dev/null'], {
    cwd: project,
    env: { ...process.env, ...env, TERM: 'xterm', npm_execpath: '' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let screen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text));
  const closed = once(child, 'close');
  try {
    let from = 0;
    for (const [question, answer] of dialogue) {
      const shown = (): boolean => {
        const at = stripVTControlCharacters(screen.slice(from)).indexOf(question);
        return at !== -1 && screen.slice(from).lastIndexOf('> \u001b[') !== -1;
      };
      await until(`it asks: ${question}`, shown, 60_000);
      from = screen.length;
      child.stdin.write(answer);
    }
    const [code] = (await closed) as [number];
    return { code, screen: stripVTControlCharacters(screen) };
  } finally {
    child.kill('SIGKILL');
  }
}

beforeAll(async () => {
  await installPacked(project);
  await database.owner.query(SCHEMA);
}, PATIENCE_MS);

describe('init in a terminal', () => {
  test('writes nothing where the person stops with Ctrl-C, or the input ends', async () => {
    const stopped = await inTerminal([
      ['The name of the job', 'void-orders\r'],
      ['The variable', '\r'],
      ['The table of your units', '\u0003'],
    ]);
    expect(stopped.code).toBe(130);
    expect(await projectFiles()).toEqual([]);
    const ended = await inTerminal([
      ['The name of the job', 'void-orders\r'],
      ['The variable', '\u0004'],
    ]);
    expect(ended.code).toBe(2);
    expect(ended.screen).toContain('nothing was written');
    expect(await projectFiles()).toEqual([]);
  }, 60_000);

  test(
    'asks again where an answer is no choice, and writes a project for what was answered',
    async () => {
      const { code, screen } = await inTerminal([
        ['The name of the job', 'Void Orders\r'],
        ['small letters', 'void-orders\r'],
        [VARIABLE, '\r'],
        ['[public.tenants]', 'tenant\r'],
        ['did you mean public.tenants?', 'tenants\r'],
        ['[region]', '\r'],
        ['The table whose rows', 'orders\r'],
        ['[set]', 'delete\r'],
        ['that it looks at', '\r'],
        ['It looks for rows', 'void\r'],
      ]);
      expect(code).toBe(0);
      expect(screen).toContain('wrote jobs/void-orders/index.ts');
      for (const line of screen.split(/\r?\n/).filter((each) => each.includes('>')))
        expect(line.length).toBeLessThanOrEqual(80);
      expect(await projectFiles()).toEqual([
        '.dockerignore',
        '.github',
        '.gitignore',
        'Dockerfile',
        'flags',
        'grants.sql',
        'jobs',
        'package.json',
        'portcullis.config.ts',
        'sample.sql',
        'schema.sql',
        'test',
        'tsconfig.json',
      ]);
    },
    PATIENCE_MS,
  );
});

describe('a job made beside a database', () => {
  test('has caps of what a run would delete today, with all that goes with it', async () => {
    // Ten orders a tenant, each with three lines and a note of each line; every second one has a flag.
    const policy = await readFile(join(project, 'flags/void-orders.yaml'), 'utf8');
    expect(policy).toContain('# 225 in a region, 75 for a unit');
    expect(policy).toContain('{ kind: drop-order, perRun: 338, perUnit: 113 }');
  });

  test('is refused by name where it could not be restored, and writes nothing', async () => {
    const before = await projectFiles();
    const args = ['--yes', '--force', '--name', 'kept', '--table', 'app.kept', '--action', 'delete'];
    const said = await command('init', ...args, '--column', 'state', '--from', 'void');
    expect(said.exit).toBe(2);
    expect(said.stderr).toContain('kept_parts has no unique key without nulls; add a primary key');
    expect(await projectFiles()).toEqual(before);
  });

  test(
    'type-checks, passes check, and its test runs with the rights of grants.sql alone',
    async () => {
      const tsc = join(import.meta.dirname, '../../node_modules/typescript/bin/tsc');
      const types = await runProgram(process.execPath, [tsc, '-p', '.'], { cwd: project });
      expect(types).toEqual({ exit: 0, stdout: '', stderr: '' });
      const checked = await command('check');
      expect(checked.stdout).toContain('No problems found');
      expect(checked.stdout).toContain('planned drop-order 4');
      const own = (): Promise<Said> => runProgram('npm', ['test', '--silent'], { cwd: project, env });
      const tested = await own();
      expect(tested.stdout).toMatch(/^# pass 2$/m);
      expect(tested).toMatchObject({ exit: 0 });
      // Each grant is needed: without the one that a trigger needs, or cascades, nothing passes.
      const grants = await readFile(join(project, 'grants.sql'), 'utf8');
      for (const needed of [/^.*insert on "app"\."audit".*\n/m, /^.*select, insert, update on .*\n/m]) {
        expect(grants).toMatch(needed);
        await writeFile(join(project, 'grants.sql'), grants.replace(needed, ''));
        expect((await own()).stdout).toMatch(/^# pass 0$/m);
      }
      await writeFile(join(project, 'grants.sql'), grants);
    },
    PATIENCE_MS,
  );
});

describe('what a project of init brings besides', () => {
  test(
    'is a CI whose steps pass in a clean clone, with what npm installs',
    async () => {
      const home = await temporaryFolder();
      const [tarball = ''] = (await readdir(project)).filter((name) => name.endsWith('.tgz'));
      const inHome = (script: string, cwd = home): Promise<Said> =>
        runProgram('bash', ['--norc', '-euo', 'pipefail', '-c', script], {
          cwd,
          env: {
            PORTCULLIS_HOME: join(home, '.portcullis'),
            PORTCULLIS_TEST_SERVER: '',
            HOME: process.env['HOME'] ?? '',
          },
        });
      const made = await inHome(
        `cp '${join(project, tarball)}' .
        npm install --no-audit --no-fund --prefer-offline ./${tarball}
        npx portcullis init --name tidy-up
        git init --quiet && git add --all
        git -c user.name=test -c user.email=test@example.com commit --quiet --message first
        git clone --quiet . clean`,
      );
      expect(made.exit === 0 ? '' : made.stderr).toBe('');
      const clean = join(home, 'clean');
      expect((await readdir(clean)).sort()).not.toContain('node_modules');
      const workflow = parse(await readFile(join(clean, '.github/workflows/portcullis.yml'), 'utf8')) as {
        jobs: { check: { steps: readonly { run?: string }[] } };
      };
      const steps = workflow.jobs.check.steps.flatMap(({ run }) => run ?? []);
      expect(steps.length).toBeGreaterThanOrEqual(4);
      for (const step of steps) {
        const said = await inHome(step, clean);
        expect({ step, ...said, exit: said.exit === 0 ? 0 : `${said.stdout}${said.stderr}` }).toMatchObject({
          exit: 0,
        });
      }
    },
    PATIENCE_MS,
  );

  test(
    'is an image whose worker serves the job, and stops when it is told to',
    async () => {
      const folder = await temporaryFolder();
      const [tarball = ''] = (await readdir(project)).filter((name) => name.endsWith('.tgz'));
      await runProgram('bash', [
        '-euc',
        `cp -r '${project}'/{flags,jobs,package.json,portcullis.config.ts,Dockerfile,.dockerignore} '${folder}'`,
      ]);
      // The package is where the registry would have it.
      await mkdir(join(folder, 'packed'));
      const packageFile = join(folder, 'package.json');
      const described = JSON.parse(await readFile(packageFile, 'utf8')) as { dependencies: object };
      await writeFile(
        packageFile,
        JSON.stringify({ ...described, dependencies: { portcullis: 'file:/opt/portcullis.tgz' } }),
      );
      await podman.build(folder, 'localhost/jobs', [
        `--volume=${join(project, tarball)}:/opt/portcullis.tgz:ro`,
      ]);
      const run = (name: string, ...args: string[]): Promise<string> =>
        podman(
          'run',
          ...(name === '' ? ['--rm'] : ['--detach', `--name=${name}`]),
          ...podman.mounts,
          '--network=host',
          ...['nofile=1024:1024', 'nproc=1024:1024'].map((each) => `--ulimit=${each}`),
          `--env=PORTCULLIS_DATABASE_URL=${control.url}`,
          `--env=${VARIABLE}=${database.url}`,
          '--env=PORTCULLIS_HTTP=127.0.0.1:0',
          'localhost/jobs',
          ...args,
        );
      await run('', 'migrate');
      await database.owner.query(await readFile(join(project, 'grants.sql'), 'utf8'));
      // The first control plane puts the policies of the image in force; a worker needs one that has done so.
      for (const [name, ...args] of [['plane', 'start'], ['worker']] as const) {
        await run(name, ...args);
        await until(
          `${name} serves the job`,
          async () => (await podman('logs', name)).includes('next run of void-orders'),
          60_000,
        ).catch(async (error: unknown) => {
          const { stdout, stderr } = await podman.said('logs', name);
          throw new Error(`${stdout}${stderr}`, { cause: error });
        });
      }
      for (const name of ['worker', 'plane']) {
        await podman('stop', '--time', '30', name);
        expect((await podman('inspect', '--format', '{{.State.ExitCode}}', name)).trim()).toBe('0');
      }
    },
    PATIENCE_MS,
  );
});
