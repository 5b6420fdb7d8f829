import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { domainClaim } from '../../src/jobs/domain-claim/job.js';
import { readTables, shapeOf } from '../../src/journal/shape.js';
import { once, type Answered, type KeyedAct } from '../../src/operations/idempotency.js';
import { inTransaction, openPool } from '../../src/postgres/pool.js';
import { ROUTES } from '../../src/server/app.js';
import type { LoadedJob } from '../../src/worker/registry.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';
import { worldOf } from './every-operation.js';
import { databasesAt, hearFlags, post, serving } from './serving.js';

/** An act's key commits with what the act does, as far as that is one transaction of the control database. */

const database = await testDatabase();
const { owner } = database;
/** The same database, as if it were a region's own: what is written through it commits apart. */
const elsewhere = openPool(database.url, { name: 'elsewhere' });
afterAll(() => elsewhere.end());
let writesElsewhere = 0;
elsewhere.on('connect', (client) => {
  const query = client.query.bind(client) as (...given: unknown[]) => unknown;
  const noting = (first: unknown, ...rest: unknown[]): unknown => {
    const text = typeof first === 'string' ? first : ((first as { text?: string }).text ?? '');
    if (/\b(insert into|update [a-z_]+\.|delete from)/i.test(text)) writesElsewhere += 1;
    return query(first, ...rest);
  };
  Object.assign(client, { query: noting });
});

const { account } = domainClaim.resources;
const shape = shapeOf('account', account, await readTables(owner, [account]));
const job: LoadedJob = {
  definition: domainClaim,
  version: '1.0.0_a',
  shapes: new Map([['account', shape]]),
  kinds: new Map([['claim', shape]]),
};
const served = await serving(owner, {
  installed: () => [job],
  flags: (await hearFlags(owner)).desk,
  regionDatabases: databasesAt(elsewhere, () => [job]),
  jobs: () => [
    { name: 'domain-claim', version: '1.0.0_a', schedule: null, regions: ['eu-west-1'], kinds: ['claim'] },
  ],
});

async function keyRow(key: string): Promise<{ readonly commits: number } | undefined> {
  const { rows } = await owner.query<{ commits: number }>(
    'select commits from portcullis_control.idempotency_key where key = $1',
    [key],
  );
  return rows[0];
}

/** Differs from what is in force. */
const ANOTHER_POLICY = {
  files: [
    {
      file: 'domain-claim.yaml',
      text: "job: domain-claim\nschedule: '*/20 * * * *'\nregions: [ap-south-1, eu-west-1, us-east-1]\nguard:\n  rules:\n    - { kind: count, name: claims, change: claim }\n",
    },
  ],
};

/** What an act of these may do in a region's database, or with other input: there its key does not commit with it. */
const NOT_DECLARED: Readonly<Record<string, string>> = {
  importJobFiles: 'with a region, its rows are in the database of that',
  reject: 'one operation with approve, as far as its function goes',
};

test('an act is declared to be one transaction of the control database exactly where it is', async () => {
  const inputFor = await worldOf(owner, served.token);
  const once: string[] = [];
  for (const { operationId, path, operation } of ROUTES) {
    if (operation.keyed === 'no') continue;
    const { params, body } = await inputFor(path.replaceAll(/:(\w+)/g, '{$1}'));
    const asked = path.replaceAll(/:(\w+)/g, (_, name: string) => params[name] ?? '');
    const key = randomUUID();
    const init = post(operationId === 'applyPolicies' ? ANOTHER_POLICY : body);
    const headers = { ...(init.headers as Record<string, string>), 'idempotency-key': key };
    writesElsewhere = 0;
    const { status } = await served.json(asked, { ...init, headers });
    expect([operationId, operation.reply.statuses]).toEqual([operationId, expect.arrayContaining([status])]);
    if ((await keyRow(key))?.commits === 1 && writesElsewhere === 0) once.push(operationId);
  }
  const declared = ROUTES.filter(({ operation }) => operation.oneCommit).map(
    ({ operationId }) => operationId,
  );
  expect([...declared, ...Object.keys(NOT_DECLARED)].sort()).toEqual(once.sort());
});

describe('where a process ended before it answered', () => {
  const act = (oneCommit: boolean): KeyedAct => ({
    ...{
      caller: 'caller',
      key: randomUUID(),
      operation: 'setFlag',
      input: { a: 1 },
      secret: false,
      oneCommit,
    },
  });
  const ANSWER: Answered = { status: 200, contentType: 'application/json', body: '{"n":1}' };
  const write = (): Promise<Answered> =>
    inTransaction(owner, async (client) => {
      await client.query(`insert into done values (default)`);
      return ANSWER;
    });
  const written = async (): Promise<number> => {
    const { rows } = await owner.query<{ n: number }>('select count(*) as n from done');
    return rows[0]?.n ?? 0;
  };
  const ignore = (): void => undefined;
  /** At once, as if the two minutes were over. */
  const LOST = { waitMs: 0, lostMs: 0 };
  const never = (): Promise<Answered> => Promise.reject(new Error('carried out twice'));

  beforeAll(() => owner.query('create table done (n bigint generated always as identity)'));

  /** One whose process ends, as far as anybody can see: it never answers. */
  async function ended(of: KeyedAct, work: () => Promise<unknown>): Promise<void> {
    void once(owner, of, () => work().then(() => new Promise<never>(ignore)), ignore);
    await until('the act to begin', async () => (await keyRow(of.key)) !== undefined);
  }

  test('an act that had committed is not carried out again, and its caller is told so', async () => {
    const of = act(true);
    const before = await written();
    await ended(of, write);
    await until('the act to commit', async () => (await keyRow(of.key))?.commits === 1);
    await expect(once(owner, of, never, ignore, LOST)).rejects.toMatchObject({
      code: 'IDEMPOTENCY_ANSWER_NOT_KEPT',
      message: expect.stringContaining('was carried out'),
    });
    expect(await written()).toBe(before + 1);
  });

  test('one that had not is carried out now, and the first never is', async () => {
    const of = act(true);
    const before = await written();
    let go: () => void = ignore;
    const paused = new Promise<void>((resolve) => (go = resolve));
    const first = once(owner, of, () => paused.then(write), ignore);
    await until('the act to begin', async () => (await keyRow(of.key)) !== undefined);
    expect(await once(owner, of, write, ignore, LOST)).toEqual(ANSWER);
    // It had only stood still, and goes on: its transaction finds the claim another's.
    go();
    await expect(first).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_IN_USE' });
    expect(await written()).toBe(before + 1);
    expect(await once(owner, of, never, ignore)).toEqual(ANSWER);
  });

  test('one that works on several databases is not carried out again, for nobody can say', async () => {
    const of = act(false);
    await ended(of, () => Promise.resolve());
    await expect(once(owner, of, never, ignore, LOST)).rejects.toMatchObject({
      code: 'IDEMPOTENCY_OUTCOME_UNKNOWN',
    });
  });

  test('one that fails behind its commit is not carried out again either', async () => {
    const of = act(true);
    const before = await written();
    const failing = (): Promise<never> => write().then(() => Promise.reject(new Error('no view of it')));
    await expect(once(owner, of, failing, ignore)).rejects.toThrow('no view of it');
    await expect(once(owner, of, never, ignore, LOST)).rejects.toMatchObject({
      code: 'IDEMPOTENCY_ANSWER_NOT_KEPT',
    });
    expect(await written()).toBe(before + 1);
  });

  test('a transaction that only reads counts for nothing', async () => {
    const of = act(true);
    const read = () => inTransaction(owner, (client) => client.query('select 1')).then(() => ANSWER);
    await once(owner, of, read, ignore);
    expect((await keyRow(of.key))?.commits).toBe(0);
  });
});
