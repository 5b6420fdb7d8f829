import type pg from 'pg';

/** A domain that the next run of its region checks. */
export interface DueNow {
  readonly id: string;
  readonly organisation: string;
  readonly state: string;
  readonly region: string;
}

/**
 * Makes a domain due, in the states that the job checks. A run that has it in its plan already finds it changed and
 * leaves it as a conflict; the next one checks it.
 */
export async function checkNow(owner: pg.Pool, name: string, region: string | undefined): Promise<DueNow[]> {
  const { rows: there } = await owner.query<{ there: boolean }>(
    `select to_regclass('directory.domain') is not null as there`,
  );
  if (there[0]?.there !== true) return [];
  const { rows } = await owner.query<DueNow>(
    `update directory.domain set next_check_at = clock_timestamp()
     where name = $1 and state in ('PENDING', 'VERIFIED', 'AT_RISK') and ($2::text is null or home_region = $2)
     returning id, organisation_id as organisation, state, home_region as region`,
    [name, region ?? null],
  );
  return rows;
}
