import { beforeEach, describe, expect, test } from '@jest/globals';
import { verifyAudit } from '../../src/audit/verify.js';
import { listFlags } from '../../src/flags/flag-store.js';
import { openWishes } from '../../src/containment/pending-kill.js';
import { carryOutWishes } from '../../src/containment/kill-incident.js';
import { announceVersions } from '../../src/rollout/announce.js';
import { testDatabase } from '../support/database.js';
import { hearFlags, post, poster, serving } from './serving.js';

const { owner } = await testDatabase();
const served = await serving(owner, { flags: (await hearFlags(owner)).desk });

/** A database without any job. */
const empty = await testDatabase();

const ann = poster(await served.as('ann', 'operator'));
const bob = poster(await served.as('bob', 'approver'));
const boundBob = poster(await served.as('bound-bob', 'approver', ['us-east-1']));
const boundAnn = poster(await served.as('bound-ann', 'operator', ['eu-west-1']));
const viewer = poster(await served.as('eve', 'viewer'));

const WHERE = { region: 'eu-west-1' };
const REGIONS = ['ap-south-1', 'eu-west-1', 'us-east-1'];

async function gate(region = 'eu-west-1'): Promise<Record<string, unknown> | undefined> {
  const { body } = await served.json(`/api/v1/gates?job=domain-claim&region=${region}`);
  return (body['items'] as Record<string, unknown>[])[0];
}

beforeEach(async () => {
  await owner.query('delete from portcullis_region.gate; delete from portcullis_region.quarantine');
});

describe('a kill over HTTP', () => {
  test('stops one region, says how long it took and what it met, and is on the record', async () => {
    const { status, body } = await ann('jobs/domain-claim/kill', { ...WHERE, reason: 'wrong claims' });
    expect([status, body]).toEqual([
      200,
      {
        job: 'domain-claim',
        killed: [
          {
            ...{ job: 'domain-claim', region: 'eu-west-1', epoch: 1, inFlight: 0, terminated: 0 },
            ...{ tookMs: expect.any(Number), runsEnded: [] },
          },
        ],
        failed: [],
        incident: expect.stringMatching(/^[a-z2-7]{8}$/),
      },
    ]);
    expect(await gate()).toMatchObject({
      ...{ state: 'killed', reason: 'wrong claims', killedBy: 'ann', stopped: false },
      killedAt: expect.stringMatching(/Z$/),
    });
    expect(await gate('us-east-1')).toBeUndefined();
    const audit = await served.json('/api/v1/audit?principal=ann&action=kill&limit=1');
    expect(audit.body['items']).toMatchObject([
      { subject: 'domain-claim.eu-west-1', evidence: { reason: 'wrong claims', inFlight: 0 } },
    ]);
    expect(await verifyAudit(owner)).toMatchObject({ ok: true });
  });

  test('without a region stops all of them; of a version, quarantines it', async () => {
    const everywhere = await ann('jobs/domain-claim/kill', { reason: 'all' });
    expect(everywhere.body['killed']).toMatchObject(REGIONS.map((region) => ({ region })));
    await owner.query('delete from portcullis_region.gate');
    await owner.query(
      `insert into portcullis_region.gate (job, region) values ('domain-claim', 'eu-west-1')`,
    );
    const one = await ann('jobs/domain-claim/kill', { version: '1.0.0_a', reason: 'faulty' });
    expect(one.status).toBe(200);
    expect(await gate()).toMatchObject({
      state: 'held',
      killedBy: null,
      quarantined: [{ version: '1.0.0_a', reason: 'faulty', by: 'ann', at: expect.stringMatching(/^2.*Z$/) }],
    });
  });

  test('of a version kills the one that is meant, and never a name that nothing bears', async () => {
    const versions = ['1.1.0_0000000a', '1.1.0_0000000b', '1.2.0_0000000c'];
    await announceVersions(
      owner,
      'w1',
      versions.map((version) => ({ job: 'domain-claim', version, regions: REGIONS })),
    );
    const quarantined = async (): Promise<unknown[]> => {
      const { rows } = await owner.query<{ version: string }>(
        'select distinct version from portcullis_region.quarantine order by version',
      );
      return rows.map(({ version }) => version);
    };
    for (const version of ['1.1.0', '1.3.0', 'installed', '1.1.O+0000000a', ' ']) {
      const refused = await ann('jobs/domain-claim/kill', { version, reason: 'faulty' });
      expect([refused.status, refused.body['code']]).toEqual([404, 'VERSION_UNKNOWN']);
    }
    expect(await quarantined()).toEqual([]);
    expect((await ann('jobs/domain-claim/kill', { version: '1.2.0', reason: 'faulty' })).status).toBe(200);
    expect(await quarantined()).toEqual(['1.2.0_0000000c']);
    // Not seen anywhere yet: kept out before it comes.
    const early = { version: '1.3.0_0000000d', reason: 'faulty build' };
    expect((await ann('jobs/domain-claim/kill', early)).status).toBe(200);
    expect(await quarantined()).toEqual(['1.2.0_0000000c', '1.3.0_0000000d']);
  });

  test('names the job or region that there is not', async () => {
    expect((await ann('jobs/domain-clam/kill', { reason: 'x' })).body).toMatchObject({
      code: 'JOB_UNKNOWN',
      hint: 'did you mean domain-claim?',
    });
    expect((await ann('jobs/domain-claim/kill', { region: 'eu-wst-1', reason: 'x' })).body).toMatchObject({
      code: 'REGION_UNKNOWN',
      hint: 'did you mean eu-west-1?',
    });
    expect((await ann('jobs/domain-claim/kill', WHERE)).body['code']).toBe('REQUEST_INVALID');
    expect(await gate()).toBeUndefined();
  });

  test('that reaches nothing says so, and leaves nothing behind', async () => {
    const info = { name: 'sweep', version: '1.0.0_a', schedule: null, regions: [], kinds: [] };
    const alone = await serving(empty.owner, { jobs: () => [info] });
    for (const [path, detail] of [
      ['stop', 'nothing was stopped: there is no gate, flag or policy of any job'],
      ['jobs/sweep/kill', 'nothing was stopped: sweep has no gate, flag or policy in any region'],
    ] as const) {
      const { status, body } = await alone.json(`/api/v1/${path}`, post({ reason: 'now' }));
      expect([path, status, body['code'], body['detail']]).toEqual([path, 409, 'NOTHING_REACHED', detail]);
    }
    const { rows } = await empty.owner.query('select from portcullis_region.gate');
    expect(rows).toEqual([]);
  });

  test('is refused to whoever may only look, or is bound elsewhere, or asks for more than is theirs', async () => {
    const refused = [
      await viewer('jobs/domain-claim/kill', { ...WHERE, reason: 'x' }),
      await boundAnn('jobs/domain-claim/kill', { region: 'us-east-1', reason: 'x' }),
      await boundAnn('jobs/domain-claim/kill', { reason: 'x' }),
      await boundAnn('stop', { reason: 'x' }),
    ];
    expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    expect(await gate()).toBeUndefined();
    expect((await boundAnn('jobs/domain-claim/kill', { ...WHERE, reason: 'x' })).status).toBe(200);
  });

  test('of everything stops every job and restores', async () => {
    const { status, body } = await ann('stop', { reason: 'everything' });
    expect([status, body]).toMatchObject([
      200,
      { jobs: [{ job: 'domain-claim', killed: REGIONS.map((region) => ({ region })), failed: [] }] },
    ]);
    expect(await gate('ap-south-1')).toMatchObject({ state: 'killed', stopped: true });
  });

  test('that does not take hold everywhere says where it does, and where it does not', async () => {
    await owner.query(`
      create function no() returns trigger language plpgsql as $$ begin raise 'no room'; end $$;
      create trigger no before insert on portcullis_region.gate for each row
        when (new.region = 'eu-west-1') execute function no()`);
    try {
      const { status, body } = await ann('jobs/domain-claim/kill', { reason: 'x' });
      expect([status, body]).toMatchObject([
        503,
        {
          code: 'KILL_INCOMPLETE',
          detail: expect.stringMatching(
            /^domain-claim in eu-west-1 could not be killed yet: no room; .* all others by 20\S+Z/,
          ) as unknown,
          details: {
            reports: [
              {
                killed: [{ region: 'ap-south-1' }, { region: 'us-east-1' }],
                failed: [{ region: 'eu-west-1', wish: expect.any(String) as unknown }],
              },
            ],
          },
        },
      ]);
      // Nobody is served by it meanwhile, and a later try is the same wish.
      const [flag] = (await listFlags(owner, 'domain-claim')).filter(({ region }) => region === 'eu-west-1');
      expect(flag).toMatchObject({ enabled: false });
      const regionDatabases = (): typeof owner => owner;
      expect(await carryOutWishes(owner, regionDatabases)).toEqual([]);
      expect(await openWishes(owner)).toMatchObject([{ region: 'eu-west-1', reason: 'x', tries: 1 }]);
      await owner.query('drop trigger no on portcullis_region.gate');
      expect(await carryOutWishes(owner, regionDatabases)).toMatchObject([
        { killed: [{ region: 'eu-west-1' }] },
      ]);
      expect(await gate('eu-west-1')).toMatchObject({ state: 'killed', reason: 'x', killedBy: 'ann' });
      expect(await openWishes(owner)).toEqual([]);
    } finally {
      await owner.query('drop function no() cascade');
    }
  });
});

describe('a re-arm over HTTP', () => {
  async function asked(): Promise<string> {
    await ann('jobs/domain-claim/kill', { ...WHERE, reason: 'wrong' });
    const { status, body } = await ann('jobs/domain-claim/rearm', { ...WHERE, reason: 'mended' });
    expect([status, body]).toMatchObject([
      200,
      { state: 'pending', requestedBy: 'ann', subject: 'domain-claim.eu-west-1', region: 'eu-west-1' },
    ]);
    return String(body['id']);
  }

  test('takes a second principal, of the right role and for that region', async () => {
    const id = await asked();
    const chief = poster(await served.as('chief', 'admin'));
    expect((await ann(`approvals/${id}/approve`, {})).body['code']).toBe('FORBIDDEN');
    expect((await boundBob(`approvals/${id}/approve`, {})).body['code']).toBe('FORBIDDEN');
    expect(await gate()).toMatchObject({ state: 'killed' });
    expect((await bob(`approvals/${id}/approve`, { reason: 'I read 1.2.1' })).body).toMatchObject({
      ...{ state: 'approved', requestedBy: 'ann', decidedBy: 'bob' },
    });
    const { rows } = await owner.query(
      `select evidence ->> 'reason' as asked, evidence ->> 'decisionReason' as decided
       from portcullis_control.audit where action = 'approve' and subject = $1`,
      [id],
    );
    expect(rows).toEqual([{ asked: 'mended', decided: 'I read 1.2.1' }]);
    expect(await gate()).toMatchObject({ state: 'held', killedBy: null });
    expect((await chief(`approvals/${id}/reject`, {})).body['code']).toBe('APPROVAL_DECIDED');
  });

  test('is not approved by who asked for it, whatever the role', async () => {
    const root = poster(await served.as('root', 'admin'));
    await root('jobs/domain-claim/kill', { ...WHERE, reason: 'wrong' });
    const { body } = await root('jobs/domain-claim/rearm', { ...WHERE, reason: 'mended' });
    // Fifteen times, of which ten go on the record.
    for (let time = 0; time < 15; time += 1) {
      const refused = await root(`approvals/${String(body['id'])}/approve`, {});
      expect(refused.body['code']).toBe('APPROVAL_SELF');
    }
    const { rows } = await owner.query(
      `select subject, evidence->>'code' as code from portcullis_control.audit
       where action = 'refused' and principal = 'root'`,
    );
    expect(rows).toEqual(Array.from({ length: 10 }, () => ({ subject: 'approve', code: 'APPROVAL_SELF' })));
    expect(await gate()).toMatchObject({ state: 'killed' });
    // Or the next who asks would join it.
    expect((await bob(`approvals/${String(body['id'])}/reject`, {})).status).toBe(200);
  });

  test('within a region is decided by an approver of that region', async () => {
    const near = poster(await served.as('near', 'approver', ['eu-west-1']));
    expect((await near(`approvals/${await asked()}/approve`, {})).status).toBe(200);
    expect(await gate()).toMatchObject({ state: 'held' });
  });

  test('that is rejected leaves the gate killed', async () => {
    expect((await bob(`approvals/${await asked()}/reject`, {})).body).toMatchObject({ state: 'rejected' });
    expect(await gate()).toMatchObject({ state: 'killed' });
  });

  test('loses against a kill that came after it was asked for', async () => {
    const id = await asked();
    await ann('jobs/domain-claim/kill', { ...WHERE, reason: 'again' });
    const { status, body } = await bob(`approvals/${id}/approve`, {});
    expect([status, body]).toMatchObject([409, { code: 'REARM_OUTDATED' }]);
    expect(await gate()).toMatchObject({ state: 'killed', reason: 'again' });
  });

  test('of every killed gate is one request', async () => {
    await ann('jobs/domain-claim/kill', { ...WHERE, reason: 'wrong' });
    await ann('jobs/domain-claim/kill', { region: 'us-east-1', reason: 'wrong' });
    const { body } = await ann('jobs/domain-claim/rearm', { all: true, reason: 'mended' });
    expect(body).toMatchObject({
      ...{
        subject: 'domain-claim in eu-west-1, us-east-1',
        regions: ['eu-west-1', 'us-east-1'],
        region: null,
      },
    });
    const named = { regions: ['us-east-1', 'eu-west-1'], reason: 'mended' };
    expect((await ann('jobs/domain-claim/rearm', named)).body).toMatchObject({
      joined: true,
      id: body['id'],
    });
    // An approver who is bound to one of the regions cannot decide for both.
    expect((await boundBob(`approvals/${String(body['id'])}/approve`, {})).body['code']).toBe('FORBIDDEN');
    expect((await bob(`approvals/${String(body['id'])}/approve`, {})).status).toBe(200);
    expect([await gate('eu-west-1'), await gate('us-east-1')]).toMatchObject([
      { state: 'held' },
      { state: 'held' },
    ]);
  });

  test('of a version lifts its quarantine', async () => {
    await ann('jobs/domain-claim/kill', { version: '1.0.0_a', reason: 'faulty' });
    const { body } = await ann('jobs/domain-claim/rearm', { version: '1.0.0_a', reason: 'not at fault' });
    expect((await bob(`approvals/${String(body['id'])}/approve`, {})).status).toBe(200);
    const { rows } = await owner.query('select from portcullis_region.quarantine');
    expect(rows).toEqual([]);
  });

  test('is refused where nothing is killed, nothing is known, or two things are asked at once', async () => {
    await owner.query(
      `insert into portcullis_region.gate (job, region) values ('domain-claim', 'eu-west-1')`,
    );
    const ask = { ...WHERE, reason: 'x' };
    expect((await ann('jobs/domain-claim/rearm', ask)).body['code']).toBe('GATE_NOT_KILLED');
    expect((await ann('jobs/no-such-job/rearm', ask)).body['code']).toBe('JOB_UNKNOWN');
    for (const two of [{ all: true }, { regions: ['eu-west-1'] }]) {
      expect((await ann('jobs/domain-claim/rearm', { ...ask, ...two })).body['code']).toBe('REQUEST_INVALID');
    }
    const both = { ...ask, version: '1.0.0_a' };
    expect((await ann('jobs/domain-claim/rearm', both)).body['code']).toBe('REQUEST_INVALID');
    expect((await bob('approvals/nosuchid/approve', {})).body['code']).toBe('APPROVAL_UNKNOWN');
  });
});
