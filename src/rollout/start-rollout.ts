import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { requireMay, type Principal } from '../access/roles.js';
import { PortcullisError } from '../kernel/errors.js';
import { listFlags } from '../flags/flag-store.js';
import { loadPolicy, policyDocumentOf, requirePolicy } from '../flags/policy-store.js';
import { databaseTime } from '../postgres/database-clock.js';
import { inTransaction } from '../postgres/pool.js';
import { newestRollout, recordEvent, type Rollout, rolloutsUnderWay } from './rollout-store.js';

export interface RolloutOrder {
  readonly job: string;
  /** The whole version: see `resolveVersion`. */
  readonly version: string;
  readonly reason: string;
  /** Why the version is quarantined; absent: it is not. */
  readonly quarantined?: string | undefined;
  /** Absent: the database's clock. */
  readonly now?: Date;
}

/**
 * Starts a rollout by the waves of the policy as it is now; a later policy does not change it. The version has
 * nothing anywhere until the control plane has looked at it. Throws FORBIDDEN, POLICY_MISSING, POLICY_INVALID,
 * ROLLOUT_UNPLANNED, ROLLOUT_ACTIVE, or ROLLOUT_REFUSED where the version is quarantined or has a share already.
 */
export async function startRollout(
  control: pg.Pool,
  order: RolloutOrder,
  principal: Principal,
): Promise<Rollout> {
  requireMay(principal, 'start-rollout');
  const { job, version, reason } = order;
  await requirePolicy(control, job);
  return inTransaction(control, async (client) => {
    // Neither may two start at once, nor the policy change while its waves are copied.
    await client.query('lock table portcullis_control.rollout in share row exclusive mode');
    const [active] = await rolloutsUnderWay(client, job);
    const newest = await newestRollout(client, job);
    if (active !== undefined && newest) throw rolloutActive(newest);
    const document = await policyDocumentOf(client, job);
    if (document?.rollout === undefined) {
      throw new PortcullisError('ROLLOUT_UNPLANNED', `the policy of ${job} has no waves`, {
        hint: 'write `rollout:` with its waves into the policy, and run portcullis flags apply',
      });
    }
    await refuseUnfit(client, order);
    const at = order.now ?? (await databaseTime(client));
    const id = randomUUID();
    await client.query(
      `insert into portcullis_control.rollout
         (id, job, version, status, policy, reason, started_by, started_at, looked_at, watched_since,
          started_hands)
       values ($1, $2, $3, 'running', $4, $5, $6, $7, $7, $7, $8)`,
      [
        ...[id, job, version, JSON.stringify(document.rollout), reason, principal.name, at],
        principal.hands ?? [],
      ],
    );
    await client.query(
      'insert into portcullis_control.rollout_part (rollout, region) select $1, unnest($2::text[])',
      [id, document.rollout.waves.flatMap((wave) => wave.regions)],
    );
    const evidence = { waves: document.rollout.waves };
    await recordEvent(
      client,
      { id, job, version },
      { at, action: 'start', by: principal.name, reason, evidence },
    );
    const started = await newestRollout(client, job);
    if (!started) throw new PortcullisError('INTERNAL', `the rollout of ${version} is not there`);
    return started;
  });
}

async function refuseUnfit(
  client: pg.PoolClient,
  { job, version, quarantined }: RolloutOrder,
): Promise<void> {
  if (quarantined !== undefined) throw quarantinedVersion(job, version, quarantined);
  const having = (await listFlags(client, job)).filter(({ variants }) =>
    variants.some((variant) => variant.version === version),
  );
  if (having.length === 0) return;
  const where = having.map(({ region }) => region).join(', ');
  throw new PortcullisError('ROLLOUT_REFUSED', `${version} has a share already in ${where}`, {
    hint: 'a rollout begins at zero: take the share away (portcullis flags set), or finish by hand what was begun by hand',
    details: { regions: having.map(({ region }) => region) },
  });
}

/** That a version cannot be admitted while it is quarantined. */
export function quarantinedVersion(job: string, version: string, reason: string): PortcullisError {
  return new PortcullisError('ROLLOUT_REFUSED', `${version} is quarantined: ${reason}`, {
    hint: `build a fixed version, or ask for the quarantine to be lifted: portcullis rearm ${job} --version ${version} --reason "…"`,
  });
}

/** The job's rollout that is under way. Throws ROLLOUT_NONE. */
export async function requireUnderWay(control: pg.Pool | pg.PoolClient, job: string): Promise<string> {
  const [id] = await rolloutsUnderWay(control, job);
  if (id !== undefined) return id;
  const { ok } = await loadPolicy(control, job);
  throw new PortcullisError('ROLLOUT_NONE', `no rollout of ${job} is under way`, {
    hint: ok
      ? `portcullis rollout start ${job} --version V --reason "…" starts one; portcullis rollout status ${job} shows the last`
      : `${job} has no policy: portcullis flags list shows the jobs there are`,
  });
}

function rolloutActive({ version, job, status }: Rollout): PortcullisError {
  return new PortcullisError('ROLLOUT_ACTIVE', `the rollout of ${version} is ${status}`, {
    hint: `a job has one at a time: let it end, or portcullis rollout abort ${job} --reason "…"`,
    details: { job, version },
  });
}
