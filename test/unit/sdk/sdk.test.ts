import { describe, expect, jest, test } from '@jest/globals';
import { isConfig, variableOf } from '../../../src/sdk/define-config.js';
import { isJob } from '../../../src/sdk/define-job.js';
import { defineConfig, defineJob, env, table, type Image, type Rows } from '../../../src/sdk/index.js';
import { rowsOf } from '../../../src/sdk/rows.js';

const declaration = {
  name: 'clean',
  version: '1.0.0',
  unit: { table: 'public.tenants', key: 'id', region: 'region' },
  resources: { customer: table('public.customers', { key: 'id', changes: ['status'] }) },
  kinds: { dormant: 'customer' },
  async *plan() {},
} as const;

describe('a job', () => {
  test('is one to another copy of the package too', async () => {
    const mine = defineJob(declaration);
    jest.resetModules();
    const other = await import('../../../src/sdk/define-job.js');
    expect(other.defineJob).not.toBe(defineJob);
    expect(other.isJob(mine)).toBe(true);
    expect(isJob(other.defineJob(declaration))).toBe(true);
    expect(isJob(declaration)).toBe(false);
  });

  test('and a configuration are frozen as they were declared', () => {
    const job = defineJob(declaration);
    expect(job).toMatchObject(declaration);
    expect(Object.isFrozen(job)).toBe(true);
    const config = defineConfig({
      jobs: [job],
      databases: { crm: { url: env('PORTCULLIS_DATABASE_URL_CRM') } },
    });
    expect(isConfig(config)).toBe(true);
    expect(isConfig({ jobs: [job] })).toBe(false);
    expect(variableOf(config.databases?.['crm']?.url)).toBe('PORTCULLIS_DATABASE_URL_CRM');
    expect(variableOf('postgres://x')).toBeUndefined();
  });
});

describe('a table', () => {
  test('has the options that were given, and no column that was not', () => {
    expect(table('public.customers', { key: 'id', changes: ['a'], compares: ['b'], region: 'r' })).toEqual({
      table: 'public.customers',
      key: 'id',
      changes: ['a'],
      compares: ['b'],
      deletes: false,
      region: 'r',
    });
    expect(table('public.sessions', { key: 'id', deletes: true })).toMatchObject({
      changes: [],
      deletes: true,
    });
  });

  test.each<[string, object, string]>([
    ['an unknown option', { key: 'id', cascade: ['x'] }, 'option cascade is not supported; there is key,'],
    ['a key of no column', { key: [] }, 'its key names no column'],
    ['deleting and changing', { key: 'id', changes: ['a'], deletes: true }, 'a row is deleted whole'],
  ])('is refused with %s', (_, options, said) => {
    expect(() => table('public.sessions', options as { key: string })).toThrow(
      `table public.sessions: ${said}`,
    );
  });
});

describe('rows', () => {
  const asked: unknown[] = [];
  const rows: Rows = rowsOf({
    async *rows<Row extends Image>(sql: string, params?: readonly unknown[]): AsyncGenerator<Row> {
      asked.push([sql, params]);
      yield* await Promise.resolve([]);
    },
  });
  const ask = async (answer: AsyncIterable<Image>): Promise<unknown> => {
    for await (const row of answer) expect(row).toBeUndefined();
    return asked.pop();
  };

  test('bind what a template inserts, and never make it SQL', async () => {
    const name = `'; drop table customers; --`;
    const at = new Date('2026-01-02T03:04:05.678Z');
    expect(
      await ask(rows`select ${name}::text, ${at}::timestamptz, ${null}::int where ${[1, 2]} is null`),
    ).toEqual([
      'select $1::text, $2::timestamptz, $3::int where $4 is null',
      [name, '2026-01-02T03:04:05.678Z', null, [1, 2]],
    ]);
    expect(await ask(rows`select 1`)).toEqual(['select 1', []]);
  });

  test('take SQL with its values too', async () => {
    expect(await ask(rows('select $1', [7]))).toEqual(['select $1', [7]]);
  });

  test('refuse a value that is undefined: it is a mistake, and not SQL’s null', () => {
    expect(() => rows`select ${1}, ${undefined}`).toThrow('value 2 is undefined; use null');
  });
});
