import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { listAudit } from '../../../src/audit/browse-audit.js';
import { GENESIS, type AuditHead } from '../../../src/audit/chain.js';
import { auditLine, exportAudit, verifyLines } from '../../../src/audit/lines.js';
import { recordAudit, type AuditNote } from '../../../src/audit/record.js';
import { verifyAudit } from '../../../src/audit/verify.js';
import { inTransaction } from '../../../src/postgres/pool.js';
import { testDatabase } from '../../support/database.js';
import { anyCharacter } from '../../support/any-character.js';

const { owner } = await testDatabase();

const note = (subject: string, changes: Partial<AuditNote> = {}): AuditNote => ({
  principal: 'alice',
  action: 'set-flag',
  subject,
  evidence: { reason: 'a test', permille: 250 },
  ...changes,
});

/** Runs statements as an owner who means ill: first the trigger goes, then it is put back. */
async function tamper(...statements: string[]): Promise<void> {
  await inTransaction(owner, async (client) => {
    await client.query('alter table portcullis_control.audit disable trigger audit_append_only');
    for (const sql of statements) await client.query(sql);
    await client.query('alter table portcullis_control.audit enable always trigger audit_append_only');
  });
}

const ENTRIES = 9;

/** A fresh log of 9 entries; answers its head. */
async function prepare(): Promise<AuditHead> {
  await tamper('truncate portcullis_control.audit');
  let head: AuditHead = GENESIS;
  for (let seq = 1; seq <= ENTRIES; seq += 1) {
    head = await recordAudit(owner, note(`flag-${seq}`, { flagRevision: seq }));
  }
  return head;
}

/** The log as an export has it, line by line. */
async function* exported(): AsyncGenerator<string> {
  for await (const entry of exportAudit(owner)) yield auditLine(entry);
}

describe('an entry', () => {
  beforeAll(() => tamper('truncate portcullis_control.audit'));

  test('can be hashed again from what is stored, whatever its evidence', async () => {
    const storable = fc
      .dictionary(fc.string({ unit: anyCharacter }), fc.jsonValue({ depthSize: 'medium' }))
      .filter((evidence) => !/\\u0000|\\ud[89a-f]/i.test(JSON.stringify(evidence)));
    await fc.assert(
      fc.asyncProperty(storable, async (evidence) => {
        await recordAudit(owner, note('any', { evidence }));
      }),
      { numRuns: 150 },
    );
    const extremes = [0.1, -0, 1e21, 1e-7, 5e-324, Number.MAX_VALUE, 2 ** 53, 333333333.33333329];
    await recordAudit(owner, note('numbers', { evidence: { extremes } }));
    await recordAudit(owner, note('keys', { evidence: { b: 1, a: 2, é: 3, '😀': 4, '': 5, aa: 6 } }));
    await recordAudit(
      owner,
      note('own', { evidence: JSON.parse('{"__proto__": {"a": 1}}') as Record<string, unknown> }),
    );
    await recordAudit(owner, note('quotes \'"\\ und 𝒰nicode\nlines'));
    expect(await verifyAudit(owner)).toMatchObject({ ok: true, count: 154 });
    expect(await verifyLines(exported())).toMatchObject({ ok: true, count: 154 });
  });

  test("bears the database's clock to the microsecond", async () => {
    const { seq } = await recordAudit(owner, note('clock'));
    const { items } = await listAudit(owner, { subject: 'clock' }, { limit: 1 });
    const { rows } = await owner.query<{ micros: string; now: Date }>(
      `select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') as micros, clock_timestamp() as now
       from portcullis_control.audit where seq = $1`,
      [seq],
    );
    expect(`${items[0]?.at.slice(0, -1) ?? ''}000000`).toMatch(
      new RegExp(`^${rows[0]?.micros.replace(/0+$/, '') ?? '-'}`),
    );
    expect(Math.abs(Date.parse(items[0]?.at ?? '') - (rows[0]?.now.getTime() ?? 0))).toBeLessThan(60_000);
  });

  test('commits with the change that it is about, or not at all', async () => {
    const before = await verifyAudit(owner);
    await expect(
      inTransaction(owner, async (client) => {
        await recordAudit(client, note('undone'));
        throw new Error('the change failed');
      }),
    ).rejects.toThrow('the change failed');
    expect(await verifyAudit(owner)).toEqual(before);
  });

  test.each<[string, Partial<AuditNote>]>([
    ['an empty principal', { principal: '' }],
    ['a number that JSON has not', { evidence: { rate: Number.NaN } }],
    ['a Date in its evidence', { evidence: { at: new Date(0) } }],
    ['evidence of more than 256 KiB', { evidence: { text: 'x'.repeat(256 * 1024) } }],
    ['half a revision', { flagRevision: 0.5 }],
  ])('with %s is refused', async (_what, changes) => {
    await expect(recordAudit(owner, note('refused', changes))).rejects.toMatchObject({
      code: 'AUDIT_ENTRY_INVALID',
    });
    expect((await listAudit(owner, { subject: 'refused' }, { limit: 1 })).items).toEqual([]);
  });
});

test('a note is not lost over a character that PostgreSQL cannot hold', async () => {
  const evidence = { 'na\0me': '\ud83d', list: ['a\0', { half: '\udc00🚨' }], at: null };
  await recordAudit(owner, { ...note('odd\0'), evidence });
  const { items } = await listAudit(owner, {}, { limit: 1 });
  expect(items).toMatchObject([
    {
      subject: 'odd\ufffd',
      evidence: { 'na\ufffdme': '\ufffd', list: ['a\ufffd', { half: '\ufffd🚨' }], at: null },
    },
  ]);
  expect(await verifyAudit(owner)).toMatchObject({ ok: true });
});

test('fifty who write at once make one chain', async () => {
  await tamper('truncate portcullis_control.audit');
  await Promise.all(Array.from({ length: 50 }, (_, index) => recordAudit(owner, note(`flag-${index}`))));
  expect(await verifyAudit(owner)).toMatchObject({ ok: true, count: 50 });
});

test('a walk over many pages tells how far it is, and misses nothing at their seams', async () => {
  await tamper('truncate portcullis_control.audit');
  await inTransaction(owner, async (client) => {
    for (let seq = 1; seq <= 1_203; seq += 1) await recordAudit(client, note('many'));
  });
  const counts: number[] = [];
  expect(await verifyAudit(owner, { onProgress: (count) => counts.push(count) })).toMatchObject({
    count: 1_203,
  });
  expect(counts).toEqual([500, 1_000, 1_203]);
  await tamper('delete from portcullis_control.audit where seq = 501');
  expect(await verifyAudit(owner)).toMatchObject({ ok: false, seq: 501, count: 500 });
});

describe('the log refuses, even its owner,', () => {
  beforeAll(prepare);

  test.each([
    ['an update', `update portcullis_control.audit set principal = 'eve' where seq = 3`],
    ['an update of nothing', `update portcullis_control.audit set principal = 'eve' where false`],
    ['a deletion', 'delete from portcullis_control.audit where seq = 9'],
    ['a truncation', 'truncate portcullis_control.audit'],
    ['a truncation through others', 'truncate portcullis_control.approval, portcullis_control.audit cascade'],
    [
      'an insertion that would update',
      `insert into portcullis_control.audit select * from portcullis_control.audit where seq = 1
       on conflict (seq) do update set principal = 'eve'`,
    ],
    [
      'a merge',
      `merge into portcullis_control.audit a using (values (1)) v (seq) on a.seq = v.seq
       when matched then delete`,
    ],
  ])('%s', async (_what, sql) => {
    await expect(owner.query(sql)).rejects.toThrow('the audit log is append-only');
  });

  test('also where triggers are told to stand back', async () => {
    const client = await owner.connect();
    try {
      await client.query('set session_replication_role = replica');
      await expect(client.query('delete from portcullis_control.audit')).rejects.toThrow('append-only');
    } finally {
      await client.query('reset session_replication_role');
      client.release();
    }
  });
});

describe('a log that someone laid hands on', () => {
  test.each([
    ['seq', '1000'],
    ['at', `at + interval '1 microsecond'`],
    ['at', `(at::timestamp::text || ' BC')::timestamp at time zone 'UTC'`],
    ['at', `'infinity'`],
    ['principal', `'eve'`],
    ['action', `'kill'`],
    ['subject', `'flag-X'`],
    ['evidence', `evidence || '{"permille": 251}'`],
    ['evidence', `evidence || '{"more": null}'`],
    ['evidence', `evidence - 'reason'`],
    ['evidence', `evidence || '{"permille": 250.00000000000000000001}'`],
    ['evidence', `evidence || '{"permille": 250.0}'`],
    ['flag_revision', 'flag_revision + 1'],
    ['flag_revision', 'null'],
    ['prev', `decode(repeat('ab', 32), 'hex')`],
    ['hash', `decode(repeat('ab', 32), 'hex')`],
  ])('names the entry whose %s was set to %s', async (column, value) => {
    for (const seq of [1, 5, ENTRIES]) {
      await prepare();
      await tamper(`update portcullis_control.audit set ${column} = ${value} where seq = ${seq}`);
      const verdict = await verifyAudit(owner);
      expect(verdict).toMatchObject({ ok: false, seq, count: seq - 1 });
      expect(await verifyLines(exported())).toMatchObject(
        column === 'evidence' && value.includes('250.') ? { ok: true } : { ok: false, seq },
      );
    }
  });

  test('names each entry that was removed', async () => {
    for (let seq = 1; seq < ENTRIES; seq += 1) {
      await prepare();
      await tamper(`delete from portcullis_control.audit where seq = ${seq}`);
      expect(await verifyAudit(owner)).toMatchObject({ ok: false, seq, reason: `entry ${seq} is missing` });
    }
  });

  test('names what was removed at the end, or all of it, where the head was kept', async () => {
    const head = await prepare();
    await tamper('delete from portcullis_control.audit where seq > 7');
    expect(await verifyAudit(owner)).toMatchObject({ ok: true, count: 7 });
    expect(await verifyAudit(owner, { expectHead: head })).toMatchObject({ ok: false, seq: 8 });
    await tamper('truncate portcullis_control.audit');
    expect(await verifyAudit(owner, { expectHead: head })).toMatchObject({ ok: false, seq: 1 });
  });

  test('names an entry that was put in, with room made for it', async () => {
    await prepare();
    await tamper(
      'update portcullis_control.audit set seq = seq + 1000 where seq > 4',
      'update portcullis_control.audit set seq = seq - 999 where seq > 1000',
      `insert into portcullis_control.audit
       select 5, at, 'eve', action, subject, evidence, flag_revision, sha256('a'), sha256('b')
       from portcullis_control.audit where seq = 4`,
    );
    expect(await verifyAudit(owner)).toMatchObject({ ok: false, seq: 5 });
  });

  test('names entries that stand twice, before the first, or where the keys were dropped', async () => {
    await prepare();
    await inTransaction(owner, async (client) => {
      await client.query('alter table portcullis_control.audit drop constraint audit_pkey');
      await client.query('alter table portcullis_control.audit drop constraint audit_prev_key');
      await client.query('alter table portcullis_control.audit drop constraint audit_hash_key');
      await client.query(
        'insert into portcullis_control.audit select * from portcullis_control.audit where seq = 6',
      );
    });
    expect(await verifyAudit(owner)).toMatchObject({ ok: false, seq: 6 });
    await inTransaction(owner, async (client) => {
      await client.query('alter table portcullis_control.audit disable trigger audit_append_only');
      await client.query('delete from portcullis_control.audit where seq = 6');
      await client.query('alter table portcullis_control.audit drop constraint audit_seq_check');
      await client.query('update portcullis_control.audit set seq = 0 where seq = 4');
      await client.query('alter table portcullis_control.audit enable always trigger audit_append_only');
    });
    expect(await verifyAudit(owner)).toMatchObject({ ok: false, seq: 0 });
    await tamper('truncate portcullis_control.audit');
    await owner.query(
      'alter table portcullis_control.audit add primary key (seq), add unique (prev), add unique (hash)',
    );
  });

  test('names the first of two that were swapped', async () => {
    await prepare();
    await tamper(
      'update portcullis_control.audit set seq = 1000 where seq = 3',
      'update portcullis_control.audit set seq = 3 where seq = 6',
      'update portcullis_control.audit set seq = 6 where seq = 1000',
    );
    expect(await verifyAudit(owner)).toMatchObject({ ok: false, seq: 3 });
  });

  test('takes new entries still, and is found out as before', async () => {
    await prepare();
    await tamper(`update portcullis_control.audit set principal = 'eve' where seq = 2`);
    await recordAudit(owner, note('later'));
    expect(await verifyAudit(owner)).toMatchObject({ ok: false, seq: 2 });
  });
});

describe('the list', () => {
  test('has the newest first, page by page, and can be narrowed', async () => {
    await prepare();
    await recordAudit(owner, note('flag-1', { principal: 'bob', action: 'kill' }));
    const seqs: number[] = [];
    let cursor: string | undefined;
    do {
      const page = await listAudit(owner, {}, { limit: 4, cursor });
      seqs.push(...page.items.map(({ seq }) => seq));
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
    expect(seqs).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    const found = async (filter: Parameters<typeof listAudit>[1]) =>
      (await listAudit(owner, filter, { limit: 50 })).items.map(({ seq }) => seq);
    expect(await found({ subject: 'flag-1' })).toEqual([10, 1]);
    expect(await found({ principal: 'bob' })).toEqual([10]);
    expect(await found({ action: 'kill', principal: 'alice' })).toEqual([]);
    const { items } = await listAudit(owner, { subject: 'flag-8' }, { limit: 1 });
    expect(await found({ since: items[0]?.at })).toEqual([10, 9, 8]);
  });
});
