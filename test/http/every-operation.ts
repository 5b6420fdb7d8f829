import type pg from 'pg';
import { addPerson } from '../../src/access/people.js';
import type { Principal } from '../../src/access/roles.js';
import { principalOfToken } from '../../src/access/tokens.js';
import { killGate } from '../../src/containment/kill-gate.js';
import { askLift } from '../../src/containment/rearm-approval.js';
import { openIncident } from '../../src/incidents/open-incident.js';
import { notify, testNotice } from '../../src/notify/notice.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { announceVersions } from '../../src/rollout/announce.js';
import { person } from '../support/people.js';
import { rolloutFor } from './rolling-out.js';
import { bodyFor, breakGlassIn, INCLUDED, seedRun } from './serving.js';

const GATE = { job: 'domain-claim', region: 'eu-west-1' };

/** What makes an operation answer yes. */
export interface Given {
  readonly params: Readonly<Record<string, string>>;
  readonly query: string;
  readonly body: unknown;
}

/**
 * Fills a database whose flags were heard, so that every operation has something to act on; answers what to give to
 * the one at a path, which prepares what that one uses up.
 */
export async function worldOf(
  owner: pg.Pool,
  token: string,
  workflowToken: () => Promise<string> = () => Promise.resolve('none'),
): Promise<(path: string) => Promise<Given>> {
  const run = await seedRun(owner);
  await seedRun(owner, { id: INCLUDED });
  await owner.query(
    `insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
     values ($1, 0, 1, 'account', 'a-1', 'claim', 'org-1', '{"n": 1, "t": "x", "b": true, "z": null}', null, '{"why": [1]}')`,
    [run],
  );
  await owner.query(
    `insert into portcullis_region.lane (run, lane, attempt, last_seq, applied_seq)
     select id, 0, 1, 3, 3 from portcullis_region.run;
     insert into portcullis_region.batch (run, lane, from_seq, to_seq, attempt) select id, 0, 1, 3, 1 from portcullis_region.run`,
  );
  await owner.query(
    `insert into portcullis_region.gate (job, region, variants)
     values ('domain-claim', 'eu-west-1', '[{"version": "1.0.0_a", "permille": 5}]')`,
  );
  const { rows } = await owner.query<{ revision: number }>(
    `select revision from portcullis_control.flag where job = 'domain-claim' and region = 'eu-west-1'`,
  );
  const self = await principalOfToken(owner, token);
  return async (path) => {
    // A worker that has not announced itself for 20 s serves nothing, and on a loaded machine these calls take longer.
    await announceVersions(owner, 'worker-1', [
      { job: 'domain-claim', version: '1.0.0_a', regions: ['eu-west-1'] },
    ]);
    const params = {
      job: 'domain-claim',
      region: 'eu-west-1',
      subject: 'account:a-1',
      name: 'dora',
      command: 'check',
      unit: 'org-1',
    };
    const query = queryFor(path);
    let id = run;
    if (path.includes('/incidents/{id}')) id = await incidentOf(owner, path);
    if (path.includes('/approvals/{id}'))
      id = await askedOf(owner, path.endsWith('/alone') ? self : undefined);
    // An import may have emptied the directory.
    if (path.includes('/commands/')) await pendingDomain(owner);
    if (path.endsWith('/accept')) id = await seedRun(owner);
    if (path.includes('/notifications/{id}')) id = await deadNotification(owner);
    if (path.includes('/break-glass/{id}')) id = await breakGlassIn(owner);
    if (path.includes('/alerts/{id}')) id = await firingAlert(owner);
    if (path.endsWith('/link')) {
      await owner.query(`update portcullis_control.person set removed_at = null where name = 'dora'`);
    }
    if (path.endsWith('/rearm')) await killGate(owner, { ...GATE, reason: 'test', by: 'ann' });
    if (path.includes('/rollouts/')) await rolloutFor(owner, path);
    const body =
      path === '/login'
        ? { code: await codeOf(owner) }
        : path === '/exchange'
          ? { token: await workflowToken() }
          : path.endsWith('/revert')
            ? { revision: rows[0]?.revision, reason: 'test' }
            : bodyFor(path);
    return { params: { ...params, id }, query, body };
  };
}

function queryFor(path: string): string {
  if (path.endsWith('/explain')) return 'unit=org-1';
  return /\/(backtest|expectation)$/.test(path) ? 'rule=claims&region=eu-west-1' : '';
}

async function pendingDomain(pool: pg.Pool): Promise<void> {
  await pool.query(
    `insert into directory.organisation (id, name, home_region) values ('checked', 'checked', 'eu-west-1')
     on conflict do nothing;
     insert into directory.domain (id, name, organisation_id, home_region) values ('checked', 'acme.com', 'checked', 'eu-west-1')
     on conflict do nothing`,
  );
}

async function firingAlert(pool: pg.Pool): Promise<string> {
  await pool.query(
    `insert into portcullis_control.alert (fingerprint, starts_at, job, regions, name, labels, annotations)
     values ('00c0ffee', clock_timestamp(), 'domain-claim', '{eu-west-1}', 'ClaimsSpike', '{}', '{}')`,
  );
  return '00c0ffee';
}

/** An incident that is contained, with one run; for the route that names damage, without any. */
async function incidentOf(pool: pg.Pool, path: string): Promise<string> {
  const { id } = await inTransaction(pool, (client) =>
    openIncident(client, {
      ...{ job: 'domain-claim', cause: 'manual', title: 'test', evidence: { why: 'test' }, by: 'ann' },
      regions: [
        {
          ...{ region: 'eu-west-1', firstRun: INCLUDED, since: '2020-01-01T00:00:00Z' },
          containedAt: new Date().toISOString(),
        },
      ],
    }),
  );
  if (path.endsWith('/include'))
    await pool.query('update portcullis_control.incident_region set damaged = false where incident = $1', [
      id,
    ]);
  return id;
}

/** The code of somebody who has not redeemed it. */
async function codeOf(pool: pg.Pool): Promise<string> {
  const { code } = await addPerson(pool, { name: 'invited', role: 'viewer' }, person('ann', 'admin'));
  return code;
}

/** A notification with a delivery that was given up. */
async function deadNotification(pool: pg.Pool): Promise<string> {
  const id = await notify(pool, testNotice('test'));
  await pool.query(
    `insert into portcullis_control.delivery (notice, receiver, state, ended_at)
     values ($1, 'hooks.example#01234567', 'dead', clock_timestamp())`,
    [id],
  );
  return id;
}

/** A request that somebody else has made: for a version that was quarantined to be let out again. */
async function askedOf(pool: pg.Pool, self: Principal | undefined): Promise<string> {
  await pool.query(
    `insert into portcullis_region.quarantine (job, version, reason, set_by)
     values ('domain-claim', '1.0.0_a', 'test', 'ann') on conflict do nothing`,
  );
  const ann = self ?? person('ann', 'operator');
  const { id } = await askLift(
    pool,
    [pool],
    { job: 'domain-claim', version: '1.0.0_a', reason: 'test' },
    ann,
  );
  return id;
}
