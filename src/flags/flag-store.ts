import pg from 'pg';
import { z } from 'zod';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { nearest } from '../kernel/nearest.js';
import { parseReason } from '../kernel/reason.js';
import { keyOfCursor, pageOf, type PageRequest } from '../postgres/page.js';
import { inTransaction } from '../postgres/pool.js';
import { refuseBeyond } from './admission-store.js';
import { type FlagDefinition, flagName } from './definition.js';
import { type FlagRow, definitionOfRow, versionShares } from './flag-row.js';
import { loadPolicy } from './policy-store.js';
import type { Variant } from './variant.js';

/** A flag as the control database has it, or had it at a revision; without variants where it is malformed. */
export interface FlagState extends Omit<FlagDefinition, 'bucketing'> {
  readonly reason: string;
  readonly changedBy: string;
  readonly changedAt: Date;
  /** What is wrong with the row; such a flag is closed. */
  readonly malformed?: string;
}

/** A flag that was set, and what it was before. */
export interface FlagSet extends FlagState {
  readonly before: FlagBefore;
}

export type FlagBefore = Pick<FlagState, 'enabled' | 'variants' | 'revision'>;

/** What to make of a flag. What is left out stays as it is. */
export interface FlagChange {
  readonly job: string;
  readonly region: string;
  readonly enabled?: boolean | undefined;
  readonly variants?: readonly Variant[] | undefined;
  /** Why, for whoever reads the history. */
  readonly reason: string;
  readonly changedBy: string;
  /** Refuses the change if the flag has another revision by now. */
  readonly ifRevision?: number | undefined;
  /** Sets shares even beyond what their versions are admitted to, where they stay closed: for what must not fail. */
  readonly beyond?: 'close' | undefined;
}

const flagChange = z
  .strictObject({
    job: z.string(),
    region: z.string(),
    enabled: z.boolean('must be true or false').optional(),
    variants: versionShares.optional(),
    reason: z.string('is missing').transform((text, context) => {
      const parsed = parseReason(text);
      if ('reason' in parsed) return parsed.reason;
      context.addIssue(parsed.fault);
      return z.NEVER;
    }),
    changedBy: z.string().min(1, 'is empty'),
    ifRevision: z.int('must be a whole number').optional(),
    beyond: z.literal('close').optional(),
  })
  .refine(({ enabled, variants }) => enabled !== undefined || variants !== undefined, {
    message: 'nothing to change: give enabled, variants or both',
  });

/** A fault that names what it is about; the others follow the name of a field. */
const WHOLE_SENTENCE = /^\p{Lu}/u;

const COLUMNS = 'job, region, enabled, variants, revision, reason, changed_by, changed_at';

interface StateRow extends FlagRow {
  readonly reason: string;
  readonly changed_by: string;
  readonly changed_at: Date;
}

/** Every flag, by job and region. */
export async function listFlags(control: pg.Pool | pg.PoolClient, job?: string): Promise<FlagState[]> {
  const { rows } = await control.query<StateRow>(
    `select ${COLUMNS} from portcullis_control.flag where $1::text is null or job = $1 order by job, region`,
    [job ?? null],
  );
  return rows.map(stateOf);
}

/** One flag. Throws JOB_UNKNOWN or REGION_UNKNOWN, with the nearest name there is. */
export async function readFlag(
  control: pg.Pool | pg.PoolClient,
  job: string,
  region: string,
): Promise<FlagState> {
  const { rows } = await control.query<StateRow>(
    `select ${COLUMNS} from portcullis_control.flag where job = $1 and region = $2`,
    [job, region],
  );
  if (rows[0]) return stateOf(rows[0]);
  throw await unknownFlag(control, job, region);
}

/**
 * Changes a flag and answers what it is now and was before. Switching off always goes; anything that may open a region needs
 * it to be in the job's policy. The change and its line in the audit log commit together; given a client, in the
 * transaction that the client is in. Throws FLAG_CHANGE_INVALID with all the faults of the change, JOB_UNKNOWN,
 * REGION_UNKNOWN, FLAG_REVISION_STALE, POLICY_MISSING, POLICY_INVALID, or ADMISSION_EXCEEDED where a version would get
 * more than it is admitted to.
 */
export async function setFlag(control: pg.Pool | pg.PoolClient, change: FlagChange): Promise<FlagSet> {
  const parsed = flagChange.safeParse(change);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) =>
      WHOLE_SENTENCE.test(message) ? message : `${path.join('.')} ${message}`.trim(),
    );
    throw new PortcullisError('FLAG_CHANGE_INVALID', faults.join('; '), {
      hint: 'shares are thousandths, at least 1 each and at most 1000 together: {"version": "1.0.0_9f3c2a1b", "permille": 250}',
      details: { faults },
    });
  }
  const checked = parsed.data;
  return control instanceof pg.Pool
    ? inTransaction(control, (client) => writeFlag(client, checked))
    : writeFlag(control, checked);
}

/**
 * Locks all the flags of a job until the client's transaction ends, and answers them: for who changes several at
 * once. The locks are taken in the order in which every other writer takes them.
 */
export async function lockFlags(client: pg.PoolClient, job: string): Promise<FlagState[]> {
  await excludeApply(client);
  const { rows } = await client.query<StateRow>(
    `select ${COLUMNS} from portcullis_control.flag where job = $1 order by region for update`,
    [job],
  );
  return rows.map(stateOf);
}

/** So that a region can't leave the policy between the look at it and the write. */
async function excludeApply(client: pg.PoolClient): Promise<void> {
  await client.query('lock table portcullis_control.policy in row exclusive mode');
}

async function writeFlag(client: pg.PoolClient, change: z.output<typeof flagChange>): Promise<FlagSet> {
  const { job, region, enabled, variants, reason, changedBy, ifRevision, beyond } = change;
  const mayOpen = enabled === true || (variants !== undefined && variants.length > 0);
  if (mayOpen) await excludeApply(client);
  await client.query('select from portcullis_control.flag where job = $1 and region = $2 for update', [
    job,
    region,
  ]);
  const current = await readFlag(client, job, region);
  if (ifRevision !== undefined && ifRevision !== current.revision) throw revisionStale(current, ifRevision);
  if (mayOpen) await requireRegion(client, job, region);
  if (variants !== undefined && beyond !== 'close') {
    await refuseBeyond(client, { job, region }, current.variants, variants);
  }
  const { rows } = await client.query<StateRow>(
    `update portcullis_control.flag
     set enabled = coalesce($3, enabled), variants = coalesce($4::jsonb, variants), reason = $5, changed_by = $6
     where job = $1 and region = $2
     returning ${COLUMNS}`,
    [
      job,
      region,
      enabled ?? null,
      variants === undefined ? null : JSON.stringify(variants),
      reason,
      changedBy,
    ],
  );
  const [row] = rows;
  if (row === undefined) throw await unknownFlag(client, job, region);
  const set = stateOf(row);
  await recordAudit(client, {
    principal: changedBy,
    action: 'set-flag',
    subject: set.name,
    evidence: { reason, before: shares(current), after: shares(set) },
    flagRevision: set.revision,
  });
  return { ...set, before: shares(current) };
}

function shares({ enabled, variants, revision }: FlagState): FlagBefore {
  return { enabled, variants, revision };
}

function stateOf(row: StateRow): FlagState {
  const found = definitionOfRow(row);
  return {
    name: found.name,
    job: row.job,
    region: row.region,
    enabled: row.enabled,
    variants: 'malformed' in found ? [] : found.variants,
    revision: row.revision,
    reason: row.reason,
    changedBy: row.changed_by,
    changedAt: row.changed_at,
    ...('malformed' in found && { malformed: found.malformed }),
  };
}

async function requireRegion(client: pg.PoolClient, job: string, region: string): Promise<void> {
  const loaded = await loadPolicy(client, job);
  if (!loaded.ok) {
    throw new PortcullisError(
      loaded.code === 'policy-missing' ? 'POLICY_MISSING' : 'POLICY_INVALID',
      `${flagName(job, region)} cannot be opened: ${loaded.reason}`,
      { hint: 'apply a sound policy first: portcullis flags apply' },
    );
  }
  if (loaded.policy.regions.includes(region)) return;
  throw regionUnknown(job, region, loaded.policy.regions, `${region} is no longer in the policy of ${job}`);
}

function revisionStale(current: FlagState, given: number): PortcullisError {
  const { name, revision, changedBy, changedAt, reason } = current;
  return new PortcullisError(
    'FLAG_REVISION_STALE',
    `${name} is at revision ${revision}, not ${given}: ${changedBy} changed it at ${changedAt.toISOString()} (${reason})`,
    { hint: 'look at what it is now and decide again', details: { flag: name, revision, given } },
  );
}

async function unknownFlag(
  control: pg.Pool | pg.PoolClient,
  job: string,
  region: string,
): Promise<PortcullisError> {
  const { rows } = await control.query<{ job: string; region: string }>(
    'select job, region from portcullis_control.flag order by job, region',
  );
  const regions = rows.filter((row) => row.job === job).map((row) => row.region);
  if (regions.length > 0) return regionUnknown(job, region, regions, `${job} has no flag in ${region}`);
  const jobs = [...new Set(rows.map((row) => row.job))];
  const meant = nearest(job, jobs);
  return new PortcullisError('JOB_UNKNOWN', `there is no flag of a job ${job}`, {
    hint:
      meant !== undefined
        ? `did you mean ${meant}?`
        : jobs.length === 0
          ? 'apply a policy first: portcullis flags apply'
          : `there are ${jobs.join(', ')}`,
    details: { job, ...(meant !== undefined && { nearest: meant }) },
  });
}

function regionUnknown(
  job: string,
  region: string,
  regions: readonly string[],
  message: string,
): PortcullisError {
  const meant = nearest(region, regions);
  return new PortcullisError('REGION_UNKNOWN', message, {
    hint: meant === undefined ? `there are ${regions.join(', ')}` : `did you mean ${meant}?`,
    details: { job, region, ...(meant !== undefined && { nearest: meant }) },
  });
}

const HistoryKey = z.tuple([z.int().min(0)]);

/** What a flag was set to, newest first, each with what it was before. Throws REQUEST_INVALID for a cursor that is not of this list. */
export async function listFlagChanges(
  control: pg.Pool,
  { job, region }: { readonly job: string; readonly region: string },
  page: PageRequest,
) {
  const [behind] = keyOfCursor(page.cursor, HistoryKey) ?? [null];
  const { rows } = await control.query<FlagChangeRow>(
    `select revision, enabled, variants, reason, changed_by, changed_at, before from (
       select *, lag(jsonb_build_object('enabled', enabled, 'variants', variants)) over (order by revision) as before
       from portcullis_control.flag_change where job = $1 and region = $2) change
     where $3::bigint is null or revision < $3
     order by revision desc limit $4`,
    [job, region, behind, page.limit + 1],
  );
  return pageOf(rows, page.limit, historyEntry, ({ revision }) => [revision]);
}

/** What a flag was set to at a revision. Throws FLAG_CHANGE_UNKNOWN. */
export async function flagAtRevision(
  control: pg.Pool,
  { job, region }: { readonly job: string; readonly region: string },
  revision: number,
): Promise<FlagSetting> {
  const { rows } = await control.query<FlagSetting>(
    'select enabled, variants from portcullis_control.flag_change where job = $1 and region = $2 and revision = $3',
    [job, region, revision],
  );
  if (rows[0]) return setting(rows[0]);
  throw new PortcullisError('FLAG_CHANGE_UNKNOWN', `${job}.${region} had no revision ${revision}`, {
    hint: `look its history up: GET /api/v1/flags/${job}/${region}/history`,
    details: { job, region, revision },
  });
}

interface FlagSetting {
  readonly enabled: boolean;
  readonly variants: readonly Variant[];
}

interface FlagChangeRow extends FlagSetting {
  readonly revision: number;
  readonly reason: string;
  readonly changed_by: string;
  readonly changed_at: Date;
  readonly before: FlagSetting | null;
}

/** What a flag was set to, and what it was before. */
export type FlagChangeView = ReturnType<typeof historyEntry>;

function historyEntry({ revision, reason, changed_by, changed_at, before, ...now }: FlagChangeRow) {
  return {
    revision,
    ...setting(now),
    before: before && setting(before),
    reason,
    changedBy: changed_by,
    changedAt: changed_at.toISOString(),
  };
}

/** What was stored before versions' names changed is shown by the names that they have now. */
function setting({ enabled, variants }: FlagSetting): FlagSetting {
  const parsed = versionShares.safeParse(variants);
  return { enabled, variants: parsed.success ? parsed.data : [] };
}
