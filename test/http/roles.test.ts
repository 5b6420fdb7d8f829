import { describe, expect, test } from '@jest/globals';
import { decideApproval, requestApproval } from '../../src/access/approvals.js';
import { MAY_DO, ROLES, type Standing } from '../../src/access/roles.js';
import { listAudit } from '../../src/audit/browse-audit.js';
import { verifyAudit } from '../../src/audit/verify.js';
import { ROUTES } from '../../src/server/app.js';
import { testDatabase } from '../support/database.js';
import { admitVersions } from '../support/admissions.js';
import { bodyFor, hearFlags, post, serving } from './serving.js';
import { person } from '../support/people.js';

const { owner } = await testDatabase();
const flags = await hearFlags(owner);
const served = await serving(owner, { flags: flags.desk });

const asRole = new Map(
  await Promise.all(ROLES.map(async (role) => [role, await served.as(role, role)] as const)),
);
await admitVersions(owner, { job: 'domain-claim', region: 'us-east-1' }, ['1.0.0_a']);
const OFF = { enabled: false, reason: 'test' };

describe('a token', () => {
  test.each(ROLES)('of a %s is answered what its role may do, and refused the rest', async (role) => {
    const call = asRole.get(role);
    for (const { method, path, action } of ROUTES) {
      if (action === 'anyone') continue;
      const asked = path
        .replace(':job', 'domain-claim')
        .replace(':region', 'eu-west-1')
        .replace(':id', 'abcd1234');
      const answer = await call?.(asked, method === 'post' ? post(bodyFor(asked)) : {});
      const allowed: readonly Standing[] = MAY_DO[action];
      expect([asked, answer?.status === 403]).toEqual([asked, !allowed.includes(role)]);
      if (answer?.status === 403) {
        expect(answer.body).toMatchObject({
          code: 'FORBIDDEN',
          hint: expect.stringContaining('use the token of'),
        });
      }
    }
  });

  test('that is bound to regions sets flags there, and nowhere else', async () => {
    const bound = await served.as('bound', 'operator', ['eu-west-1']);
    expect((await bound('/api/v1/flags/domain-claim/eu-west-1', post(OFF))).status).toBe(200);
    const { status, body } = await bound('/api/v1/flags/domain-claim/us-east-1', post(OFF));
    expect(status).toBe(403);
    expect(body).toMatchObject({ code: 'FORBIDDEN', hint: expect.stringContaining('eu-west-1') });
    expect((await bound('/api/v1/flags?region=us-east-1')).status).toBe(200);
  });
});

describe('the record', () => {
  test('has who set a flag, what it was and is, and under which revision', async () => {
    const carol = await served.as('carol', 'operator');
    const { body } = await carol(
      '/api/v1/flags/domain-claim/us-east-1',
      post({ enabled: true, variants: [{ version: '1.0.0_a', permille: 5 }], reason: 'canary' }),
    );
    const { body: page } = await carol('/api/v1/audit?principal=carol&action=set-flag&limit=1');
    expect(page['items']).toEqual([
      expect.objectContaining({
        principal: 'carol',
        subject: 'domain-claim.us-east-1',
        flagRevision: body['revision'],
        evidence: {
          reason: 'canary',
          before: expect.objectContaining({ enabled: false, variants: [] }),
          after: {
            enabled: true,
            variants: [{ version: '1.0.0_a', permille: 5 }],
            revision: body['revision'],
          },
        },
      }),
    ]);
    expect(await verifyAudit(owner)).toMatchObject({ ok: true });
  });

  test('has no line for a change that was refused', async () => {
    const dave = await served.as('dave', 'operator');
    const stale = await dave('/api/v1/flags/domain-claim/eu-west-1', post({ ...OFF, ifRevision: 0 }));
    expect(stale.body['code']).toBe('FLAG_REVISION_STALE');
    expect((await listAudit(owner, { principal: 'dave' }, { limit: 5 })).items).toEqual([]);
  });

  test('is walked page by page, and narrowed by time', async () => {
    const first = await served.json('/api/v1/audit?limit=2');
    const next = await served.json(`/api/v1/audit?limit=2&cursor=${String(first.body['next'])}`);
    const items = [first, next].flatMap(({ body }) => body['items'] as { seq: number; at: string }[]);
    const [newest] = items;
    expect(items.map(({ seq }) => seq)).toEqual([0, 1, 2, 3].map((back) => (newest?.seq ?? 0) - back));
    const since = await served.json(`/api/v1/audit?since=${newest?.at ?? ''}`);
    expect(since.body['items']).toEqual([newest]);
    expect((await served.json('/api/v1/audit?since=yesterday')).body['code']).toBe('REQUEST_INVALID');
  });
});

test('requests for approval are listed by state', async () => {
  await owner.query('delete from portcullis_control.approval');
  const alice = person('alice', 'operator');
  const ask = { action: 'rearm', subject: 'domain-claim.eu-west-1', reason: 'over', evidence: { epoch: 3 } };
  const { id } = await requestApproval(owner, ask, alice);
  const { id: other } = await requestApproval(owner, { ...ask, evidence: { epoch: 4 } }, alice);
  await decideApproval(owner, other, person('bob', 'admin'), 'reject', () => Promise.resolve());
  const pending = await served.json('/api/v1/approvals?state=pending');
  expect(pending.body['items']).toEqual([
    expect.objectContaining({ id, state: 'pending', requestedBy: 'alice', region: null, decidedBy: null }),
  ]);
  const all = await served.json('/api/v1/approvals');
  expect((all.body['items'] as { id: string }[]).map((each) => each.id)).toEqual([other, id]);
});
