import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { emptyDatabase } from '../support/database.js';
import { installPacked } from '../support/packed.js';
import { portcullis, temporaryFolder, untilWith } from '../support/portcullis.js';
import { runProgram, type Said } from '../support/program.js';

/** A job from `init` to `build`, in folders that have nothing but the packed package. */

const PATIENCE_MS = 600_000;

const project = await temporaryFolder();
const beside = await temporaryFolder();
const database = await emptyDatabase();
const main = (folder: string): string => join(folder, 'node_modules/portcullis/dist/main.js');
const environment = (folder: string): Record<string, string> => ({
  PORTCULLIS_HOME: join(folder, '.portcullis'),
});

const command = (
  args: readonly string[],
  folder = project,
  more: Record<string, string> = {},
): Promise<Said> =>
  runProgram(process.execPath, [main(folder), ...args], {
    cwd: folder,
    env: { ...environment(folder), ...more },
  });

interface Checked {
  readonly ok: boolean;
  readonly findings: readonly { readonly check: string; readonly mark: string; readonly found: string }[];
  readonly plans: readonly { readonly region: string; readonly planned: Record<string, number> }[];
}

async function check(folder = project): Promise<Checked & Pick<Said, 'exit'>> {
  const { exit, stdout, stderr } = await command(['check', '--json'], folder);
  if (!stdout.startsWith('{')) throw new Error(stderr);
  return { exit, ...(JSON.parse(stdout) as Checked) };
}

/** Changes a file for as long as `work` takes. */
async function edited<T>(path: string, edit: (text: string) => string, work: () => Promise<T>): Promise<T> {
  const file = join(project, path);
  const text = await readFile(file, 'utf8');
  expect(edit(text)).not.toBe(text);
  await writeFile(file, edit(text));
  try {
    return await work();
  } finally {
    await writeFile(file, text);
  }
}

beforeAll(async () => {
  await installPacked(project);
  await installPacked(beside);
  // Asks no registry: the packed package.
  const programs = join(project, 'node_modules/.bin');
  await mkdir(programs);
  await writeFile(
    join(programs, 'npx'),
    `#!/bin/sh\nshift\nexec '${process.execPath}' '${main(project)}' "$@"\n`,
    { mode: 0o755 },
  );
}, PATIENCE_MS);

describe('a job in an empty folder', () => {
  test(
    'is written, checked and tested by the first commands of the guide',
    async () => {
      const guide = await readFile(new URL('../../docs/guide/own-job.md', import.meta.url), 'utf8');
      const [, commands = ''] = /```sh begin\n([^]*?)```/.exec(guide) ?? [];
      expect(commands).toMatch(/init[^]*check[^]*npm test/);
      const said = await runProgram('bash', ['--norc', '-euo', 'pipefail', '-c', commands], {
        cwd: project,
        env: {
          ...environment(project),
          PATH: `${join(project, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`,
        },
      });
      expect(said).toMatchObject({ exit: 0 });
      expect(said.stdout).toContain('wrote jobs/tidy-up/index.ts');
      expect(said.stdout).toContain('No problems found');
      expect(said.stdout).toMatch(/^# pass 2$/m);
      const { plans } = await check();
      expect(plans.map(({ region, planned }) => ({ region, planned }))).toEqual([
        { region: 'eu', planned: { dormant: 4 } },
        { region: 'us', planned: { dormant: 4 } },
      ]);
    },
    PATIENCE_MS,
  );

  test(
    'is not overwritten by a second init, unless that is told to',
    async () => {
      const file = join(project, 'grants.sql');
      await writeFile(file, '-- mine');
      const again = await command(['init', '--name', 'tidy-up', '--json']);
      expect(again.exit).toBe(1);
      expect(JSON.parse(again.stdout)).toMatchObject({
        written: [],
        kept: expect.arrayContaining(['grants.sql', 'package.json']),
      });
      expect(await readFile(file, 'utf8')).toBe('-- mine');
      const forced = await command(['init', '--name', 'tidy-up', '--force']);
      expect(forced).toMatchObject({ exit: 0, stderr: '' });
      expect(await readFile(file, 'utf8')).toContain('grant select on');
    },
    PATIENCE_MS,
  );

  test(
    'fails check with all of its faults at once',
    async () => {
      const found = await edited(
        'jobs/tidy-up/index.ts',
        (text) => text.replace(`changes: ['standing']`, `changes: ['standings']`),
        () =>
          edited(
            'flags/tidy-up.yaml',
            (text) => text.replace('perRun: 20', 'perRun: many'),
            () => check(),
          ),
      );
      expect(found).toMatchObject({ ok: false, exit: 1 });
      const faults = found.findings.filter(({ mark }) => mark === 'fail');
      expect(faults.find(({ check: what }) => what === 'policies')?.found).toContain('perRun');

      const alone = await edited(
        'jobs/tidy-up/index.ts',
        (text) => text.replace(`changes: ['standing']`, `changes: ['standings']`),
        () => check(),
      );
      expect(alone.findings).toContainEqual(
        expect.objectContaining({
          check: 'tidy-up',
          mark: 'fail',
          found: expect.stringContaining('standings'),
        }),
      );

      const capped = await edited(
        'flags/tidy-up.yaml',
        (text) => text.replace('perRun: 20', 'perRun: 3'),
        () => check(),
      );
      expect(capped.findings.filter(({ mark }) => mark === 'fail').map(({ check: what }) => what)).toEqual([
        'tidy-up in eu',
        'tidy-up in us',
      ]);
    },
    PATIENCE_MS,
  );

  test(
    'is planned again by dev on each save, which shows what changed, a mistake too, until Ctrl-C',
    async () => {
      const watching = portcullis(['dev'], {
        main: main(project),
        cwd: project,
        env: environment(project),
      });
      let out = '';
      watching.child.stdout?.on('data', (text: string) => (out += text));
      let notes = '';
      watching.child.stderr?.on('data', (text: string) => (notes += text));
      const planned = (what: string, text: RegExp): Promise<unknown> =>
        untilWith(watching, what, () => text.test(out), PATIENCE_MS);
      /** What a save leads to, once it is watched for the next one. */
      const saving = async (edit: (text: string) => string, what: string, shown: RegExp): Promise<void> => {
        await untilWith(watching, 'it watches', () => notes.includes('; Ctrl-C ends'), PATIENCE_MS);
        out = notes = '';
        await writeFile(file, edit(text));
        await planned(what, shown);
      };
      const file = join(project, 'jobs/tidy-up/index.ts');
      const text = await readFile(file, 'utf8');
      await planned('the first plan', /tidy-up in us {2}dormant 4\n( {2}\+ dormant customer:\d+ .*\n){4}/);
      const narrower = (whole: string): string =>
        whole.replace('order by t."id"', 'and t."id" > 4 order by t."id"');
      await saving(narrower, 'a plan without two changes', /in us {2}dormant 4; the same 4 changes\n/);
      expect(out).toMatch(/in eu {2}dormant 2\n( {2}- dormant customer:\d+ .*unseen → dormant\n){2}tidy-up/);
      // Neither a mistake in the code nor one that the database finds ends it.
      await saving(
        (whole) => whole.replace('for await (', 'for await '),
        'the mistake',
        /✗ portcullis\.config\.ts: it cannot be loaded[^]*index\.ts:\d+:\d+/,
      );
      expect(out).not.toContain('in us');
      await saving((whole) => whole.replace('t."standing" =', 't."standings" ='), 'the fault', /standings/);
      await saving(narrower, 'the plan before', /in us {2}dormant 4; the same 4 changes\n/);
      expect(out).toContain('in eu  dormant 2; the same 2 changes\n');
      await saving((whole) => whole, 'the first plan again', /in us {2}dormant 4; the same 4 changes\n/);
      expect(out).toMatch(/( {2}\+ dormant customer.*\n){2}/);
      watching.child.kill('SIGINT');
      const { code, stderr } = await watching.finished;
      expect(code).toBe(0);
      expect(stderr).not.toMatch(/^\s+at /m);
    },
    PATIENCE_MS,
  );

  test(
    'has one version as TypeScript and built, until what was built is changed',
    async () => {
      const built = await command(['build', '--json']);
      expect(built).toMatchObject({ exit: 0, stderr: '' });
      const { jobs } = JSON.parse(built.stdout) as { jobs: { job: string; version: string }[] };
      expect(jobs).toEqual([{ job: 'tidy-up', version: expect.stringMatching(/^1\.0\.0_[0-9a-f]{8}$/) }]);
      expect(await readdir(join(project, 'dist/jobs/tidy-up'))).toEqual(['index.js', 'index.js.map']);
      const versionOf = async (config: string): Promise<string> => {
        const out = await command(['build', '--json', '--config', config, '--out', 'again']);
        if (out.exit !== 0) throw new Error(out.stderr);
        return (
          (JSON.parse(out.stdout) as typeof jobs extends never ? never : { jobs: { version: string }[] })
            .jobs[0]?.version ?? ''
        );
      };
      expect(await versionOf('portcullis.config.ts')).toBe(jobs[0]?.version);
      const file = join(project, 'dist/jobs/tidy-up/index.js');
      await writeFile(file, `${await readFile(file, 'utf8')}\n// another`);
      expect(await versionOf('dist/portcullis.config.js')).not.toBe(jobs[0]?.version);
      // What no build wrote is not removed.
      const refused = await command(['build', '--out', 'test']);
      expect(refused.exit).not.toBe(0);
      expect(refused.stderr).toContain('holds files that no build wrote');
    },
    PATIENCE_MS,
  );
});

describe('a job beside a database', () => {
  test(
    'is made for its tables, with caps of today’s counts, and passes check',
    async () => {
      await database.owner.query(`
        create type standing as enum ('active', 'dormant');
        create table workspaces (id uuid primary key default gen_random_uuid(), "Name" text not null unique, region varchar(20) not null);
        create table members (id bigserial primary key, workspace_id uuid not null references workspaces, joined timestamptz not null,
          standing standing not null default 'active', meta jsonb not null);
        insert into workspaces ("Name", region) select 'w' || n, case when n <= 3 then 'north' else 'south' end from generate_series(1, 5) n;
        insert into members (workspace_id, joined, standing, meta)
        select w.id, now(), case when k <= 20 then 'active' else 'dormant' end::standing, '{}' from workspaces w, generate_series(1, 30) k;`);
      const more = { PORTCULLIS_DATABASE_URL_APP: database.url };
      const args = ['init', '--name', 'tidy', '--database', 'PORTCULLIS_DATABASE_URL_APP'];
      const wrong = await command([...args, '--unit', 'workspace'], beside, more);
      expect(wrong.exit).toBe(2);
      expect(wrong.stderr).toContain('did you mean public.workspaces?');
      const said = await command(args, beside, more);
      expect(said).toMatchObject({ exit: 0, stderr: '' });
      const policy = await readFile(join(beside, 'flags/tidy.yaml'), 'utf8');
      expect(policy).toContain('{ kind: dormant, perRun: 90, perUnit: 30 }');
      expect(policy).toContain('"north"');
      expect(await readFile(join(beside, 'jobs/tidy/index.ts'), 'utf8')).toContain(`changes: ['standing']`);
      const found = await check(beside);
      expect(found.findings.filter(({ mark }) => mark === 'fail')).toEqual([]);
      expect(found).toMatchObject({ ok: true, exit: 0 });
      expect(found.plans.map(({ region }) => region)).toEqual(['north', 'south']);
      // It only looked.
      const { rows } = await database.owner.query(`select 1 from pg_namespace where nspname ~ 'portcullis'`);
      expect(rows).toEqual([]);
    },
    PATIENCE_MS,
  );
});
