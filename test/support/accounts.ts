import type pg from 'pg';
import type { Change, JobDefinition, PlanContext, ProductUse } from '../../src/sdk/contract.js';

/** Makes organisations `org-0…` and, for each, accounts `acc-0…` of one region. */
export async function seedAccounts(
  owner: pg.Pool,
  region: string,
  organisations: number,
  accountsEach: number,
): Promise<void> {
  await owner.query(
    `insert into directory.organisation (id, name, home_region)
     select $1 || '-org-' || n, 'Organisation ' || n, $1 from generate_series(0, $2 - 1) n`,
    [region, organisations],
  );
  await owner.query(
    `insert into directory.account (id, email, email_verified, home_region)
     select $1 || '-acc-' || o || '-' || a, 'a' || a || '@org' || o || '.example', true, $1
     from generate_series(0, $2 - 1) o, generate_series(0, $3 - 1) a`,
    [region, organisations, accountsEach],
  );
}

/**
 * The smallest job that really changes rows: it gives every unmanaged account of an admitted organisation to
 * that organisation. `plan` replaces what it proposes.
 */
export function claimEverything(
  name: string,
  plan: (context: PlanContext, claims: AsyncIterable<Change>) => AsyncIterable<Change> = (_, claims) =>
    claims,
): JobDefinition {
  return {
    name,
    version: '1.0.0',
    unit: { table: 'directory.organisation', key: 'id', region: 'home_region' },
    resources: {
      account: {
        table: 'directory.account',
        key: 'id',
        changes: ['state', 'organisation_id', 'claimed_at'],
        compares: ['email'],
        region: 'home_region',
      },
    },
    kinds: { claim: 'account' },
    plan: (context) => plan(context, claims(context)),
  };
}

/** Where the directory has the products that accounts are used in. */
export const HERE: ProductUse = { table: 'directory.product_use', key: 'account_id', product: 'product' };

/** A job as `claimEverything` makes it, which also says where it stands which products the accounts are used in. */
export function accountsUsedIn(job: JobDefinition, use: ProductUse = HERE): JobDefinition {
  const { account } = job.resources;
  if (!account) throw new Error('the job has no accounts');
  return { ...job, resources: { account: { ...account, usedIn: use } } };
}

async function* claims({ rows: read, region, units, clock }: PlanContext): AsyncGenerator<Change> {
  const rows = read<{
    id: string;
    state: string;
    organisation_id: string | null;
    claimed_at: string | null;
    email: string;
  }>(
    `select id, state, organisation_id, claimed_at, email from directory.account
     where home_region = $1 and state = 'UNMANAGED' order by id`,
    [region],
  );
  for await (const { id, ...before } of rows) {
    const unit = id.replace('-acc-', '-org-').replace(/-\d+$/, '');
    if (!units.has(unit)) continue;
    yield {
      resource: 'account',
      key: id,
      before,
      after: { state: 'MANAGED', organisation_id: unit, claimed_at: clock.now().toISOString() },
      kind: 'claim',
      unit,
      evidence: { why: 'test' },
    };
  }
}
