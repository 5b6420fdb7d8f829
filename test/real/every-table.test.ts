import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { beforeAll, expect, test } from '@jest/globals';
import { emptyDatabase } from '../support/database.js';
import { FAR_SLOT } from '../support/far-slot.js';
import { installPacked } from '../support/packed.js';
import { portcullis, temporaryFolder, untilWith, type Finished } from '../support/portcullis.js';
import { runProgram } from '../support/program.js';

/**
 * A database with everything in it that tables have (examples/order-upkeep), and a job on it from the packed package:
 * run, killed by `kill -9`, taken over, edited by users meanwhile, restored. Every table of the database is then what it
 * was, but for the users' edits and for what the dry run had announced.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PATIENCE_MS = 300_000;

const project = await temporaryFolder();
const control = await emptyDatabase();
const { owner, url } = await emptyDatabase();
const main = join(project, 'node_modules/portcullis/dist/main.js');
const env = {
  PORTCULLIS_HOME: join(project, '.portcullis'),
  PORTCULLIS_HTTP: '127.0.0.1:0',
  PORTCULLIS_DATABASE_URL: control.url,
  PORTCULLIS_DATABASE_URL_SHOP: url,
  PORTCULLIS_TEST_SERVER: '',
  FAULT_POINTS: pathToFileURL(join(project, 'node_modules/portcullis/dist/kernel/fault-point.js')).href,
};
const command = (args: readonly string[], killAt?: string): Promise<Finished> =>
  portcullis(args, { main, cwd: project, env, ...(killAt !== undefined && { killAt }) }).finished;
const done = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await command(args);
  expect({ args, code, stderr: code === 0 ? '' : stderr }).toEqual({ args, code: 0, stderr: '' });
  return stdout;
};

type Row = Readonly<Record<string, unknown>>;
type Tables = ReadonlyMap<string, ReadonlyMap<string, Row>>;

/** Every row of every table of the team's, by its primary key; of a table without one, by all that it has. */
async function everyTable(): Promise<Tables> {
  const { rows: tables } = await owner.query<{ table: string; key: string | null }>(`
    select format('%I.%I', n.nspname, t.relname) as "table",
      (select string_agg(format('t.%I', a.attname), ', ' order by a.attnum) from pg_index i
       join pg_attribute a on a.attrelid = t.oid and a.attnum = any (i.indkey::int2[]) where i.indrelid = t.oid and i.indisprimary) as key
    from pg_class t join pg_namespace n on n.oid = t.relnamespace
    where t.relkind in ('r', 'p') and not t.relispartition and n.nspname !~ '^(pg_|portcullis_|information_schema)'
    order by 1`);
  expect(tables.length).toBeGreaterThan(9);
  const all = new Map<string, ReadonlyMap<string, Row>>();
  for (const { table, key } of tables) {
    const { rows } = await owner.query<{ key: string; row: Row }>(
      `select ${key === null ? 't::text' : `jsonb_build_array(${key})::text`} as key, to_jsonb(t) || jsonb_build_object('as text', t::text) as row from ${table} t`,
    );
    all.set(table, new Map(rows.map(({ key: of, row }) => [of, row])));
  }
  return all;
}

interface Announced {
  readonly trial: {
    readonly tried: number;
    readonly refused: number;
    readonly sets: readonly { readonly resource: string; readonly columns: readonly string[] }[];
    readonly writes: readonly { readonly table: string }[];
  };
}

interface RunRow {
  readonly id: string;
  readonly status: string;
  readonly attempt: number;
  readonly planned: Readonly<Record<string, number>>;
  readonly applied: Readonly<Record<string, number>>;
  readonly cascading: Readonly<Record<string, number>>;
  readonly cascaded: Readonly<Record<string, number>>;
  readonly conflicts: number;
}

beforeAll(async () => {
  await cp(join(ROOT, 'examples/order-upkeep'), project, { recursive: true });
  await installPacked(project);
  const policy = join(project, 'flags/order-upkeep.yaml');
  await writeFile(policy, (await readFile(policy, 'utf8')).replace("'0 3 * * *'", `'${FAR_SLOT}'`));
  await owner.query(await readFile(join(project, 'schema.sql'), 'utf8'));
}, PATIENCE_MS);

test(
  'every table of the database is what it was, but for the edits of users and what the plan had announced',
  async () => {
    const tsc = await runProgram(
      process.execPath,
      [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', '.'],
      { cwd: project },
    );
    expect(tsc).toEqual({ exit: 0, stdout: '', stderr: '' });
    await done('migrate');
    await owner.query(await readFile(join(project, 'grants.sql'), 'utf8'));
    const before = await everyTable();
    const serving = portcullis(['start', '--json'], { main, cwd: project, env });
    let out = '';
    serving.child.stdout?.on('data', (text: string) => (out += text));
    await untilWith(serving, 'it serves', () => out.includes('"event":"waiting"'));
    const job = ['order-upkeep', '--region', 'eu'] as const;
    await done(
      'rollout',
      'start',
      'order-upkeep',
      '--version',
      'installed',
      '--initial',
      '--reason',
      'first',
    );
    await done(
      'flags',
      'set',
      ...job,
      '--on',
      '--version',
      'installed',
      '--share',
      '100%',
      '--reason',
      'first',
    );

    // The plan announces what triggers do besides: nothing else may differ in the end.
    const dry = JSON.parse(await done('run', ...job, '--dry-run', '--json')) as { triggers: Announced };
    const { trial } = dry.triggers;
    expect(trial).toMatchObject({
      refused: 0,
      sets: [{ resource: 'order', columns: ['updated_at'] }],
      writes: [{ table: 'shop.order_log' }, { table: 'shop.session_log' }],
    });
    expect(await everyTable()).toEqual(before);

    const dead = await command(['run', ...job], 'apply.committed:5');
    expect(dead).toMatchObject({ signal: 'SIGKILL' });
    const run = async (): Promise<RunRow> => {
      const { rows } = await owner.query<RunRow>(
        `select id, status, attempt, planned, applied, cascading, cascaded, conflicts from portcullis_region.run
         where not dry_run and restores is null`,
      );
      expect(rows).toHaveLength(1);
      return rows[0] as RunRow;
    };
    expect(await run()).toMatchObject({ status: 'applying', attempt: 1 });
    // Users work on, also on rows that the run is about to change.
    await owner.query(`update shop.orders set note = 'call me' where number in (2, 3, 201, 202)`);
    await owner.query(`insert into shop.events (session, at) values (1, '2026-02-02')`);
    await owner.query(`update portcullis_region.run set lease_until = '-infinity' where status = 'applying'`);
    const ran = await untilWith(serving, 'another worker has finished the run', async () => {
      const row = await run();
      return row.status === 'succeeded' && row;
    });
    expect(ran).toMatchObject({ attempt: 2, conflicts: 0 });
    expect(ran.applied).toEqual(ran.planned);
    expect(ran.cascaded).toEqual(ran.cascading);
    expect(ran.cascaded['drop-session']).toBe(50 * 3 + 75 + 50);

    await owner.query(`update shop.orders set state = 'paid' where number in (4, 6, 8)`);
    await owner.query(`update shop.tabs set title = 'mine' where id = 6`);
    await done('kill', ...job, '--reason', 'too many are late');
    const edited = await everyTable();
    const preview = JSON.parse(await done('restore', ran.id, '--dry-run', '--json')) as {
      runs: { left: Record<string, number>; trial: { refused: number } }[];
    };
    expect(preview.runs).toMatchObject([{ left: { conflicts: 3, asBefore: 0 }, trial: { refused: 0 } }]);
    const restored = JSON.parse(await done('restore', ran.id, '--json', '--reason', 'wrong')) as {
      runs: { left: Record<string, number> }[];
    };
    expect(restored.runs).toMatchObject([{ left: { restorable: 0, conflicts: 3 } }]);

    const after = await everyTable();
    const written = new Set(trial.writes.map(({ table }) => table));
    const set = new Set(trial.sets.flatMap(({ columns }) => columns));
    const notes = new Map([2, 3, 201, 202].map((number) => [number, 'call me']));
    const kept = new Set([4, 6, 8]);
    const shown = (row: Row | undefined): Row | undefined =>
      row && Object.fromEntries(Object.entries(row).filter(([name]) => !set.has(name) && name !== 'as text'));
    for (const [table, rows] of after) {
      if (written.has(table)) continue;
      const expected = new Map<string, Row | undefined>();
      for (const [key, row] of before.get(table) ?? []) {
        const number = Number(row['number']);
        expected.set(
          key,
          table === 'shop.orders' && kept.has(number)
            ? shown(edited.get(table)?.get(key))
            : table === 'shop.orders' && notes.has(number)
              ? { ...shown(row), note: notes.get(number) }
              : table === 'shop.tabs' && row['id'] === 6
                ? { ...shown(row), title: 'mine' }
                : shown(row),
        );
      }
      if (table === 'shop.events')
        for (const [key, row] of edited.get(table) ?? [])
          if (!before.get(table)?.has(key)) expected.set(key, shown(row));
      expect({ table, rows: new Map([...rows].map(([key, row]) => [key, shown(row)])) }).toEqual({
        table,
        rows: expected,
      });
      // To the last byte, where no column was announced.
      if (table === 'shop.orders') continue;
      for (const [key, row] of rows)
        if (before.get(table)?.has(key) === true && row['title'] !== 'mine')
          expect(row['as text']).toBe(before.get(table)?.get(key)?.['as text']);
    }
    serving.child.kill('SIGTERM');
    expect((await serving.finished).code).toBe(0);
  },
  PATIENCE_MS,
);
