import type pg from 'pg';

/**
 * The units for which another version's run of the same slot has planned changes. While a version is rolled
 * out, shares move: a unit that one version has acted for in a slot must not get the other in that slot too.
 *
 * Complete at the moment of asking, if asked behind the gate at the flag's newest revision: whoever planned under
 * an older revision, for a unit that has since changed hands, is fenced from then on.
 */
export async function unitsBeside(
  pool: pg.Pool,
  run: { readonly job: string; readonly region: string; readonly slot: Date; readonly version: string },
): Promise<ReadonlySet<string>> {
  const { rows } = await pool.query<{ unit: string }>(
    `select distinct c.unit
     from portcullis_region.run r join portcullis_region.change c on c.run = r.id
     where r.job = $1 and r.region = $2 and r.slot = $3 and r.version <> $4
       and not r.dry_run and r.restores is null and r.lanes > 0`,
    [run.job, run.region, run.slot, run.version],
  );
  return new Set(rows.map(({ unit }) => unit));
}
