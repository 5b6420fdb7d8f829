import type pg from 'pg';

const ACCOUNTS_EACH = 20;

/** A region for a first, small run that does not count: connections are open and statements known after it. */
export const WARM_UP = { region: 'warm-up', accounts: 2_000 };

/**
 * Fills a region with accounts that nobody manages, each selected for claiming by one of its organisations
 * of twenty accounts each, and opens the flag of `job` for all of them.
 */
export async function fillRegion(
  owner: pg.Pool,
  region: string,
  accounts: number,
  flag: { readonly job: string; readonly version: string },
): Promise<void> {
  await owner.query(
    `insert into directory.organisation (id, name, home_region, consent)
     select format('%s-org-%s', $1::text, lpad(n::text, 6, '0')), 'Organisation ' || n, $1, 'selected'
     from generate_series(0, $2::integer / $3::integer - 1) n`,
    [region, accounts, ACCOUNTS_EACH],
  );
  await owner.query(
    `insert into directory.account (id, email, email_verified, home_region, selected_by)
     select format('%s-acc-%s', $1::text, lpad(n::text, 8, '0')),
            format('person-%s@org-%s.example', n, n / $3::integer), true, $1,
            format('%s-org-%s', $1::text, lpad((n / $3::integer)::text, 6, '0'))
     from generate_series(0, $2::integer - 1) n`,
    [region, accounts, ACCOUNTS_EACH],
  );
  await owner.query(
    `insert into portcullis_control.flag (job, region, enabled, variants, reason, changed_by)
     values ($1, $2, true, $3, 'the bench', 'bench')`,
    [flag.job, region, JSON.stringify([{ version: flag.version, permille: 1000 }])],
  );
  await owner.query(
    `insert into portcullis_control.admission (job, region, version, permille, source, reason, changed_by)
     values ($1, $2, $3, 1000, 'initial', 'the bench', 'bench')`,
    [flag.job, region, flag.version],
  );
}
