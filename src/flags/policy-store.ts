import { createHash } from 'node:crypto';
import { UNITS, type UnitLabel } from '../kernel/words.js';
import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { nearest } from '../kernel/nearest.js';
import { requireSeen } from '../kernel/seen.js';
import { inTransaction } from '../postgres/pool.js';
import { type AppliedBefore, type PolicyDiff, diffPolicy } from './policy-diff.js';
import { type PolicyDocument, policyDocument } from './policy-document.js';
import { displacedRegions } from './policy-regions.js';
import { type Policy, type PolicyFile, policyOfDocument } from './policy.js';

/** A job's policy as it is in force, or why none is: then the job's gates stay closed. */
export type LoadedPolicy =
  | {
      readonly ok: true;
      readonly job: string;
      readonly policy: Policy;
      readonly appliedBy: string;
      readonly appliedAt: Date;
    }
  | {
      readonly ok: false;
      readonly job: string;
      readonly code: 'policy-missing' | 'policy-malformed';
      readonly reason: string;
    };

interface PolicyRow {
  readonly job: string;
  readonly policy: unknown;
  readonly applied_by: string;
  readonly applied_at: Date;
}

/** What {@link applyPolicies} would do, changing nothing. */
export async function diffPolicies(control: pg.Pool, files: readonly PolicyFile[]): Promise<PolicyDiff[]> {
  const before = await readBefore(control);
  return files.map((file) => diffPolicy(file, before(file.policy.job)));
}

/** Another text after each change of any policy in force. */
export async function policiesRevision(control: pg.Pool | pg.PoolClient): Promise<string> {
  const { rows } = await control.query<{ job: string; source: string }>(
    'select job, source from portcullis_control.policy order by job',
  );
  return createHash('sha256').update(JSON.stringify(rows)).digest('hex').slice(0, 16);
}

/**
 * Puts policies in force, all or none, and answers what that did. A region new to a policy gets a flag that is
 * off; a flag that is there keeps its state; a region no longer in the policy has its flag switched off. Jobs
 * without a file stay as they are. Applying the same again changes nothing. What changes, and its lines in
 * the audit log, commit together. Throws REVISION_STALE where other policies are in force than somebody saw.
 */
export async function applyPolicies(
  control: pg.Pool,
  files: readonly PolicyFile[],
  appliedBy: string,
  ifRevision?: string,
): Promise<PolicyDiff[]> {
  return inTransaction(control, async (client) => {
    await lockPolicies(client);
    if (ifRevision !== undefined)
      requireSeen('the set of policies in force', await policiesRevision(client), ifRevision);
    return applyLocked(client, files, appliedBy);
  });
}

/**
 * Puts the policies of a database's first start in force. Answers undefined, and changes nothing, where any policy is
 * in force already: from then on only a person or a program that asks for it changes what is.
 */
export async function applyFirstPolicies(
  control: pg.Pool,
  files: readonly PolicyFile[],
  appliedBy: string,
): Promise<PolicyDiff[] | undefined> {
  return inTransaction(control, async (client) => {
    await lockPolicies(client);
    if ((await loadPolicies(client)).length > 0) return undefined;
    return applyLocked(client, files, appliedBy);
  });
}

/** One apply at a time; readers go on reading. */
async function lockPolicies(client: pg.PoolClient): Promise<void> {
  await client.query('lock table portcullis_control.policy in share row exclusive mode');
}

async function applyLocked(
  client: pg.PoolClient,
  files: readonly PolicyFile[],
  appliedBy: string,
): Promise<PolicyDiff[]> {
  refuseDisplaced(await loadPolicies(client), files);
  const before = await readBefore(client);
  const diffs = files.map((file) => diffPolicy(file, before(file.policy.job)));
  for (const [at, diff] of diffs.entries()) {
    const file = files[at];
    if (file === undefined) continue;
    if (diff.change !== 'same') await storePolicy(client, file, appliedBy);
    for (const { region, change } of diff.flags) {
      if (change === 'create') await createFlag(client, diff.job, region, appliedBy);
      else await closeFlag(client, diff.job, region, appliedBy);
    }
  }
  for (const { job, file, change, fields, flags } of diffs) {
    if (change === 'same' && flags.length === 0) continue;
    await recordAudit(client, {
      principal: appliedBy,
      action: 'apply-policy',
      subject: job,
      evidence: { file, change, fields, flags },
    });
  }
  return diffs;
}

/** Every job's policy, by name of job. */
export async function loadPolicies(control: pg.Pool | pg.PoolClient): Promise<LoadedPolicy[]> {
  const { rows } = await control.query<PolicyRow>(
    'select job, policy, applied_by, applied_at from portcullis_control.policy order by job',
  );
  return rows.map(loaded);
}

/** The policies in force. One that is malformed is left out: its job is closed. */
export async function policiesInForce(control: pg.Pool | pg.PoolClient): Promise<Policy[]> {
  return (await loadPolicies(control)).flatMap((each) => (each.ok ? [each.policy] : []));
}

/** What people are told that a job's units are; units, where no policy of the job can be read. */
export async function unitLabelOf(control: pg.Pool | pg.PoolClient, job: string): Promise<UnitLabel> {
  const loaded = await loadPolicy(control, job);
  return loaded.ok ? loaded.policy.unit : UNITS;
}

/** Every job's policy with its file's text, by name of job. `malformed`: what is wrong with it. */
export async function listPolicies(control: pg.Pool) {
  const { rows } = await control.query<PolicyRow & { readonly source: string }>(
    'select job, policy, source, applied_by, applied_at from portcullis_control.policy order by job',
  );
  return rows.map((row) => {
    const read = loaded(row);
    return {
      job: row.job,
      schedule: read.ok ? read.policy.schedule : null,
      regions: read.ok ? read.policy.regions : [],
      appliedBy: row.applied_by,
      appliedAt: row.applied_at.toISOString(),
      malformed: read.ok ? null : read.reason,
      source: row.source,
    };
  });
}

/** One job's policy. Never throws for a policy that is missing or malformed: that is its answer. */
export async function loadPolicy(control: pg.Pool | pg.PoolClient, job: string): Promise<LoadedPolicy> {
  const { rows } = await control.query<PolicyRow>(
    'select job, policy, applied_by, applied_at from portcullis_control.policy where job = $1',
    [job],
  );
  if (rows[0]) return loaded(rows[0]);
  return { ok: false, job, code: 'policy-missing', reason: `no policy was applied for ${job}` };
}

/** One job's policy as its file wrote it; undefined where it has none that is sound. */
export async function policyDocumentOf(
  control: pg.Pool | pg.PoolClient,
  job: string,
): Promise<PolicyDocument | undefined> {
  const { rows } = await control.query<{ policy: unknown }>(
    'select policy from portcullis_control.policy where job = $1',
    [job],
  );
  return policyDocument.safeParse(rows[0]?.policy).data;
}

/** A job's policy, or POLICY_MISSING, or POLICY_INVALID: for where a person asks for it. */
export async function requirePolicy(control: pg.Pool, job: string): Promise<Policy> {
  const found = await loadPolicy(control, job);
  if (found.ok) return found.policy;
  if (found.code === 'policy-malformed') {
    throw new PortcullisError('POLICY_INVALID', found.reason, {
      hint: 'apply the policy file again: portcullis flags apply',
    });
  }
  const { rows } = await control.query<{ job: string }>('select job from portcullis_control.policy');
  throw policyMissing(
    job,
    rows.map((row) => row.job),
  );
}

/** POLICY_MISSING, with the nearest of the jobs that have one. */
export function policyMissing(job: string, known: readonly string[]): PortcullisError {
  const meant = nearest(job, known);
  return new PortcullisError('POLICY_MISSING', `no policy was applied for ${job}`, {
    hint:
      meant === undefined ? 'write one into flags/ and run portcullis flags apply' : `did you mean ${meant}?`,
    details: { job, ...(meant !== undefined && { nearest: meant }) },
  });
}

function loaded({ job, policy: stored, applied_by, applied_at }: PolicyRow): LoadedPolicy {
  const read = policyOfDocument(stored);
  const reason =
    'reason' in read ? read.reason : read.policy.job === job ? undefined : `it is for ${read.policy.job}`;
  if ('policy' in read && reason === undefined) {
    return { ok: true, job, policy: read.policy, appliedBy: applied_by, appliedAt: applied_at };
  }
  return {
    ok: false,
    job,
    code: 'policy-malformed',
    reason: `the stored policy of ${job} is malformed: ${reason ?? ''}`,
  };
}

/** Throws POLICY_INVALID where a region would be in another database for one job than for another. */
function refuseDisplaced(inForce: readonly LoadedPolicy[], files: readonly PolicyFile[]): void {
  const given = new Set(files.map(({ policy }) => policy.job));
  const kept = inForce.flatMap((each) => (each.ok && !given.has(each.job) ? [each.policy] : []));
  const displaced = displacedRegions([...kept, ...files.map(({ policy }) => policy)]);
  if (displaced.length === 0) return;
  const faults = displaced.map(({ job, region, message }) => `${job}: regions.${region} ${message}`);
  throw new PortcullisError('POLICY_INVALID', faults.join('\n'), {
    hint: 'name the same variable for the region in the policy of every job that has it',
    details: { faults: displaced },
  });
}

async function readBefore(control: pg.Pool | pg.PoolClient): Promise<(job: string) => AppliedBefore> {
  const policies = await control.query<{ job: string; policy: unknown }>(
    'select job, policy from portcullis_control.policy',
  );
  const flags = await control.query<{ job: string; region: string; enabled: boolean }>(
    'select job, region, enabled from portcullis_control.flag order by job, region',
  );
  return (job) => ({
    document: policies.rows.find((row) => row.job === job)?.policy,
    flags: flags.rows.filter((row) => row.job === job),
  });
}

async function storePolicy(client: pg.PoolClient, file: PolicyFile, appliedBy: string): Promise<void> {
  await client.query(
    `insert into portcullis_control.policy (job, policy, source, applied_by) values ($1, $2, $3, $4)
     on conflict (job) do update set policy = excluded.policy, source = excluded.source,
       applied_by = excluded.applied_by, applied_at = clock_timestamp()`,
    [file.policy.job, JSON.stringify(file.document), file.text, appliedBy],
  );
}

async function createFlag(client: pg.PoolClient, job: string, region: string, by: string): Promise<void> {
  // Not `on conflict do nothing`: the trigger would write history for a row that is then not inserted.
  await client.query(
    `insert into portcullis_control.flag (job, region, enabled, variants, reason, changed_by)
     select $1, $2, false, '[]', $3, $4
     where not exists (select from portcullis_control.flag where job = $1 and region = $2)`,
    [job, region, 'new in the policy: a flag begins switched off', by],
  );
}

async function closeFlag(client: pg.PoolClient, job: string, region: string, by: string): Promise<void> {
  await client.query(
    `update portcullis_control.flag set enabled = false, reason = $3, changed_by = $4
     where job = $1 and region = $2 and enabled`,
    [job, region, 'the region is no longer in the policy', by],
  );
}
