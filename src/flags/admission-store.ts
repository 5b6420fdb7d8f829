import type pg from 'pg';
import { requireMay, type Principal } from '../access/roles.js';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { listOf } from '../kernel/words.js';
import { endBreakGlass, hasBreakGlass, lockFlagsOf } from './break-glass.js';
import { columnsOf } from '../postgres/columns-of.js';
import { inTransaction } from '../postgres/pool.js';
import { AdmissionBook, beyondText, type Beyond, type RegionAdmission } from './admission.js';
import { ADMISSIONS, type ReadAdmission } from './admission-reader.js';
import { flagName } from './definition.js';
import type { Variant } from './variant.js';

/** Admissions as the control database has them now. */
export async function readAdmissions(control: pg.Pool | pg.PoolClient): Promise<AdmissionBook> {
  const { rows } = await control.query<ReadAdmission>(ADMISSIONS);
  return new AdmissionBook(rows);
}

export interface Admission {
  readonly job: string;
  readonly region: string;
  readonly version: string;
  /** Thousandths of the region's units. */
  readonly permille: number;
  readonly source: 'initial' | 'rollout';
  readonly reason: string;
  readonly by: string;
}

/**
 * Admits a version to so much of a region, in the transaction that the client is in, and puts that on record. One that
 * is admitted to more keeps it.
 */
export async function admitVersion(client: pg.PoolClient, admission: Admission): Promise<void> {
  const { job, region, version, permille, source, reason, by } = admission;
  const { rowCount } = await client.query(
    `insert into portcullis_control.admission as a (job, region, version, permille, source, reason, changed_by)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (job, region, version) do update
       set permille = excluded.permille, source = excluded.source, reason = excluded.reason,
           changed_by = excluded.changed_by
       where a.permille < excluded.permille`,
    [job, region, version, permille, source, reason, by],
  );
  if (rowCount === 0) return;
  await recordAudit(client, {
    principal: by,
    action: 'admit-version',
    subject: `${job} ${version} in ${region}`,
    evidence: { permille, source, reason },
  });
}

/**
 * Takes a version's admission away in every region, and its break-glass, in the transaction that the client is in, and
 * puts that on record.
 * To do it twice is to do it once. Does nothing on a schema that has no admissions yet.
 */
export async function clearAdmission(
  client: pg.PoolClient,
  order: { readonly job: string; readonly version: string; readonly reason: string; readonly by: string },
): Promise<void> {
  const { job, version, reason, by } = order;
  if ((await columnsOf(client, 'portcullis_control.admission')).size === 0) return;
  // The trigger locks the flags one by one.
  await lockFlagsOf(client, job);
  const { rows } = await client.query<{ region: string; permille: number }>(
    `with given as (
       select region, permille from portcullis_control.admission
       where job = $1 and version = $2 and permille > 0 order by region for update
     )
     update portcullis_control.admission a
     set permille = 0, source = 'cleared', reason = $3, changed_by = $4
     from given where a.job = $1 and a.version = $2 and a.region = given.region
     returning a.region, given.permille`,
    [job, version, reason, by],
  );
  if (await hasBreakGlass(client))
    await endBreakGlass(client, { job, version }, { ended: 'cleared', by, reason });
  if (rows.length === 0) return;
  await recordAudit(client, {
    principal: by,
    action: 'clear-admission',
    subject: `${job} ${version}`,
    evidence: { reason, before: Object.fromEntries(rows.map(({ region, permille }) => [region, permille])) },
  });
}

/**
 * Throws ADMISSION_EXCEEDED where a flag would give a version more than it is admitted to, and more than the flag gives
 * it now. Shares that are beyond already may stay or shrink: they are closed, and lowering is always free.
 */
export async function refuseBeyond(
  client: pg.PoolClient,
  flag: { readonly job: string; readonly region: string },
  before: readonly Variant[],
  after: readonly Variant[],
): Promise<void> {
  const { job, region } = flag;
  const beyond = raisedBeyond((await readAdmissions(client)).of(job, region), before, after);
  const [first] = beyond;
  if (first === undefined) return;
  throw new PortcullisError(
    'ADMISSION_EXCEEDED',
    `${flagName(job, region)}: ${beyond.map(beyondText).join('; ')}`,
    {
      hint: `a rollout admits a version step by step: portcullis rollout start ${job} --version ${first.version} --reason "…"; the first version of a job in a region: add --initial; in an emergency: portcullis break-glass request ${job} --version ${first.version} --region ${region} --share ${first.asked / 10}% --reason "…"`,
      details: { job, region, beyond },
    },
  );
}

/** The versions that get more than before and more than they are admitted to. Pure. */
function raisedBeyond(
  { permille }: RegionAdmission,
  before: readonly Variant[],
  after: readonly Variant[],
): Beyond[] {
  const had = new Map(before.map((each) => [each.version, each.permille]));
  return after.flatMap(({ version, permille: asked }): Beyond[] => {
    const admitted = permille.get(version) ?? 0;
    return asked > admitted && asked > (had.get(version) ?? 0) ? [{ version, asked, admitted }] : [];
  });
}

export interface InitialOrder {
  readonly job: string;
  /** In full. */
  readonly version: string;
  /** Only these regions of the policy; absent: every one in which no version was ever admitted. */
  readonly regions?: readonly string[] | undefined;
  readonly reason: string;
}

/**
 * Admits the first version of a job in regions where none was ever admitted, to all of their units and without a
 * rollout: there is nothing to compare it with. Once for each job and region. Gives it no share: the flag does that.
 * Answers the regions. Throws FORBIDDEN, POLICY_MISSING, POLICY_INVALID, REGION_UNKNOWN, or INITIAL_DONE where a
 * version was admitted already.
 */
export async function admitInitially(
  control: pg.Pool,
  order: InitialOrder,
  principal: Principal,
): Promise<readonly string[]> {
  const { job, version, reason } = order;
  // A kill takes an admission away, and loads no policy for it.
  const { requirePolicy } = await import('./policy-store.js');
  const policy = await requirePolicy(control, job);
  const named = order.regions ?? policy.regions;
  for (const region of named) {
    requireMay(principal, 'set-flag', region);
    if (!policy.regions.includes(region)) {
      throw new PortcullisError('REGION_UNKNOWN', `${region} is not in the policy of ${job}`, {
        hint: `there are ${policy.regions.join(', ')}`,
        details: { job, region },
      });
    }
  }
  return inTransaction(control, async (client) => {
    // Of two that ask at once, the second sees what the first has admitted.
    await client.query('lock table portcullis_control.admission in share row exclusive mode');
    const { rows: taken } = await client.query<{ region: string; version: string; source: string; at: Date }>(
      // One that only ever had break-glass was not admitted.
      `select distinct on (region) region, version, source, changed_at as at
       from portcullis_control.admission where job = $1 and region = any($2) and source <> 'break-glass'
       order by region, changed_at`,
      [job, named],
    );
    const regions = named.filter((region) => !taken.some((each) => each.region === region));
    if (regions.length === 0 || (order.regions !== undefined && taken.length > 0)) {
      const which = taken.map((each) => `${each.region} (${each.version})`);
      throw new PortcullisError(
        'INITIAL_DONE',
        `a version of ${job} was admitted already in ${listOf(which)}; --initial is for the first one`,
        {
          hint: `roll it out step by step: portcullis rollout start ${job} --version ${version} --reason "…"`,
          details: { job, regions: taken.map((each) => each.region) },
        },
      );
    }
    for (const region of regions) {
      await admitVersion(client, {
        ...{ job, region, version, reason, permille: 1000, source: 'initial', by: principal.name },
      });
    }
    return regions;
  });
}
