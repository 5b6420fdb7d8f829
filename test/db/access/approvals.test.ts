import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import {
  decideApproval,
  findApproval,
  listApprovals,
  requestApproval,
  requestOrJoin,
  type ApprovalRequest,
} from '../../../src/access/approvals.js';
import type { Role } from '../../../src/access/roles.js';
import { listAudit } from '../../../src/audit/browse-audit.js';
import { verifyAudit } from '../../../src/audit/verify.js';
import { testDatabase } from '../../support/database.js';
import { person } from '../../support/people.js';

const { owner } = await testDatabase();
await owner.query('create table public.carried (id text, by text)');

const principal = (name: string, role: Role = 'approver', regions: string[] | null = null) =>
  person(name, role, regions);
const alice = principal('alice', 'operator');
const bob = principal('bob');

const ask = (changes: Partial<ApprovalRequest> = {}, by = alice) =>
  requestApproval(
    owner,
    {
      action: 'rearm',
      subject: 'domain-claim.eu-west-1',
      region: 'eu-west-1',
      reason: 'INC-7 is over',
      // Of requests for the same, one waits.
      evidence: { incident: 'INC-7', epoch: 4, nonce: randomUUID() },
      ...changes,
    },
    by,
  );

const approve = (id: string, by = bob) =>
  decideApproval(owner, id, by, 'approve', async (client, { id: which }) => {
    await client.query('insert into public.carried values ($1, $2)', [which, by.name]);
  });
const reject = (id: string, by = bob) =>
  decideApproval(owner, id, by, 'reject', () => Promise.reject(new Error('carried out though rejected')));

async function carriedOut(id: string): Promise<number> {
  const { rowCount } = await owner.query('select from public.carried where id = $1', [id]);
  return rowCount ?? 0;
}

async function onRecord(id: string): Promise<string[]> {
  const { items } = await listAudit(owner, { subject: id }, { limit: 50 });
  return items.map(({ principal: by, action }) => `${by} ${action}`).reverse();
}

describe('a request for approval', () => {
  test('is one, of any number who ask for the same at the same moment, and the others join it', async () => {
    const same = {
      action: 'rearm',
      subject: 'sweep',
      reason: 'over',
      evidence: { epoch: 7, at: { once: true } },
    };
    const asked = await Promise.all(Array.from({ length: 8 }, () => requestOrJoin(owner, same, alice)));
    expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
    expect(asked.filter(({ joined }) => !joined)).toHaveLength(1);
    await reject(asked[0]?.id ?? '');
    expect((await requestOrJoin(owner, same, alice)).joined).toBe(false);
  });

  test('is one in the database, whoever inserts it: until it is decided, expires or lapses', async () => {
    const same = { evidence: { epoch: 8 } };
    const made = await Promise.allSettled(Array.from({ length: 6 }, () => ask(same)));
    const refused = made.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
    expect(refused).toHaveLength(5);
    for (const each of refused) {
      expect(each).toMatchObject({ code: '23505', constraint: 'approval_waits_once' });
    }
    await owner.query(
      `update portcullis_control.approval set expires_at = clock_timestamp() where request = '{"epoch": 8}'`,
    );
    const [first] = [await ask(same)];
    await reject(first.id);
    await ask(same);
  });

  test('has an id that can be typed, an hour, and a line on the record', async () => {
    const asked = await ask();
    expect(asked.id).toMatch(/^[a-z2-7]{8}$/);
    expect(Date.parse(asked.expiresAt) - Date.parse(asked.requestedAt)).toBeCloseTo(3_600_000, -2);
    expect(asked).toMatchObject({
      state: 'pending',
      requestedBy: 'alice',
      evidence: { incident: 'INC-7', epoch: 4 },
    });
    expect(await findApproval(owner, ` ${asked.id.toUpperCase()} `)).toEqual(asked);
    expect(await onRecord(asked.id)).toEqual(['alice request-approval']);
  });

  test('approved by another is carried out, and that is told', async () => {
    const { id } = await ask();
    const done = await approve(id);
    expect(done).toMatchObject({ state: 'approved', decidedBy: 'bob', carriedOutAt: expect.any(String) });
    expect(await carriedOut(id)).toBe(1);
    expect(await onRecord(id)).toEqual(['alice request-approval', 'bob approve']);
  });

  test('rejected is not carried out', async () => {
    const { id } = await ask();
    expect(await reject(id)).toMatchObject({ state: 'rejected', decidedBy: 'bob', carriedOutAt: null });
    expect(await carriedOut(id)).toBe(0);
    expect(await onRecord(id)).toEqual(['alice request-approval', 'bob reject']);
  });

  test('is decided once by one of many at the same moment', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { id } = await ask();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 24 }, (_, index) => {
          const by = principal(`approver-${index}`);
          return index % 3 === 0 ? reject(id, by) : approve(id, by);
        }),
      );
      const won = outcomes.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
      const lost = outcomes.flatMap((each): unknown[] => (each.status === 'rejected' ? [each.reason] : []));
      expect(won).toHaveLength(1);
      expect(lost).toEqual(lost.map(() => expect.objectContaining({ code: 'APPROVAL_DECIDED' })));
      expect(await carriedOut(id)).toBe(won[0]?.state === 'approved' ? 1 : 0);
      expect(await findApproval(owner, id)).toEqual(won[0]);
      expect(await onRecord(id)).toHaveLength(2);
    }
    expect(await verifyAudit(owner)).toMatchObject({ ok: true });
  });

  test('stays open where carrying it out fails, and leaves no trace of that', async () => {
    const { id } = await ask();
    const failing = decideApproval(owner, id, bob, 'approve', async (client) => {
      await client.query('insert into public.carried values ($1, $2)', [id, 'half']);
      throw new Error('the region is unreachable');
    });
    await expect(failing).rejects.toThrow('the region is unreachable');
    expect(await carriedOut(id)).toBe(0);
    expect(await onRecord(id)).toEqual(['alice request-approval']);
    expect(await approve(id)).toMatchObject({ state: 'approved' });
  });

  test('is not decided by whoever asked, either way', async () => {
    const carol = principal('carol', 'admin');
    const { id } = await ask({}, carol);
    await expect(approve(id, carol)).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
    await expect(reject(id, carol)).rejects.toMatchObject({ code: 'APPROVAL_SELF' });
    expect(await carriedOut(id)).toBe(0);
    await expect(
      owner.query(
        `update portcullis_control.approval set decided_by = requested_by, decided_at = now(), decision = 'approve' where id = $1`,
        [id],
      ),
    ).rejects.toMatchObject({ code: '23514' });
  });

  test('is not decided when it has expired', async () => {
    const { id } = await ask({ expiresInMs: 0 });
    await expect(approve(id)).rejects.toMatchObject({ code: 'APPROVAL_EXPIRED' });
    expect(await findApproval(owner, id)).toMatchObject({ state: 'expired' });
  });

  test('is not decided by one who may not', async () => {
    const { id } = await ask();
    for (const by of [
      principal('v', 'viewer'),
      principal('o', 'operator'),
      principal('w', 'worker'),
      principal('b', 'approver', ['us-east-1']),
    ]) {
      await expect(approve(id, by)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    }
    expect(await approve(id, principal('here', 'approver', ['eu-west-1']))).toMatchObject({
      state: 'approved',
    });
  });

  test('for everywhere is not decided by one who is bound to a region', async () => {
    const { id } = await ask({ region: undefined });
    await expect(approve(id, principal('b', 'admin', ['eu-west-1']))).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
  });

  test('that is not there is said so', async () => {
    await expect(approve('zzzzzzzz')).rejects.toMatchObject({ code: 'APPROVAL_UNKNOWN' });
    await expect(approve("' or 1=1")).rejects.toMatchObject({ code: 'APPROVAL_UNKNOWN' });
  });
});

test('requests are listed newest first, page by page, by state', async () => {
  await owner.query('truncate portcullis_control.approval cascade');
  const ids: string[] = [];
  for (let round = 0; round < 6; round += 1)
    ids.unshift((await ask(round === 0 ? { expiresInMs: 0 } : {})).id);
  await approve(ids[1] ?? '');
  await reject(ids[2] ?? '');
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await listApprovals(owner, {}, { limit: 2, cursor });
    seen.push(...page.items.map(({ id }) => id));
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  expect(seen).toEqual(ids);
  const listed = async (state: 'pending' | 'approved' | 'rejected' | 'expired') =>
    (await listApprovals(owner, { state }, { limit: 50 })).items.map(({ id }) => id);
  expect(await listed('approved')).toEqual([ids[1]]);
  expect(await listed('rejected')).toEqual([ids[2]]);
  expect(await listed('expired')).toEqual([ids[5]]);
  expect(await listed('pending')).toEqual([ids[0], ids[3], ids[4]]);
});
