import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { abandon } from '../../postgres/bounded-pool.js';
import { inTransaction } from '../../postgres/pool.js';
import { FILES, type FileName } from './columns.js';
import { fileError } from '../../postgres/file-error.js';

export type ExportFiles = Readonly<Record<FileName, string>>;

export interface ExportOptions {
  /** Only the accounts and domains whose home this is, with the rows that these refer to. Default: everything. */
  readonly region?: string | undefined;
  /** Aborted: no file is written. */
  readonly signal?: AbortSignal | undefined;
}

/** The files that were written, and how many rows each has without its header. */
export interface ExportReport {
  readonly files: ExportFiles;
  readonly rows: Readonly<Record<FileName, number>>;
}

/**
 * Writes the directory as three CSV files that `importDirectory` takes: into a folder, which is made, as
 * `organisations.csv`, `accounts.csv` and `domains.csv`, or to three paths. One moment of the directory,
 * ordered by id, times in UTC. Files appear whole or not at all, replace older ones, and only their owner may
 * read them. A request that no domain refers to any more is left out. Throws FILE_UNWRITABLE.
 * The pool's login must be able to make temporary tables: the owner's.
 */
export async function exportDirectory(
  pool: pg.Pool,
  target: string | ExportFiles,
  options: ExportOptions = {},
): Promise<ExportReport> {
  const files = typeof target === 'string' ? inFolder(target) : target;
  const partial = (name: FileName): string => `${files[name]}.partial`;
  try {
    const rows = await inTransaction(
      pool,
      async (client) => {
        const selected = await select(client, options.region);
        for (const { name } of FILES) {
          await mkdir(dirname(files[name]), { recursive: true });
          const source = client.query(copyTo(`copy (${QUERIES[name]}) to stdout with (format csv, header)`));
          const file = createWriteStream(partial(name), { mode: 0o600 });
          await pipeline(source, file, { signal: options.signal }).catch((error: unknown) => {
            // A COPY that nobody reads to its end keeps its connection: not even a rollback gets through.
            abandon(client, error as Error);
            throw error;
          });
        }
        return selected;
      },
      { isolation: 'repeatable read', signal: options.signal },
    );
    for (const { name } of FILES) await rename(partial(name), files[name]);
    return { files, rows };
  } catch (error) {
    await Promise.all(FILES.map(({ name }) => rm(partial(name), { force: true }).catch(() => undefined)));
    throw fileError('FILE_UNWRITABLE', error, 'check that the folder may be written and the disk has room');
  }
}

function inFolder(folder: string): ExportFiles {
  const file = (name: FileName): string => join(folder, `${name}.csv`);
  return { organisations: file('organisations'), accounts: file('accounts'), domains: file('domains') };
}

/**
 * Notes which rows to export, so that the files are complete in themselves: those at home in the region, the
 * accounts that made its requests, and every organisation that any of these names. Answers how many there are.
 */
async function select(client: pg.PoolClient, region: string | undefined): Promise<ExportReport['rows']> {
  await client.query(`
    create temporary table export_domain (id text primary key) on commit drop;
    create temporary table export_account (id text primary key) on commit drop;
    create temporary table export_organisation (id text primary key) on commit drop`);
  const home = 'where $1::text is null or home_region = $1';
  const domains = await client.query(`insert into export_domain select id from directory.domain ${home}`, [
    region,
  ]);
  const accounts = await client.query(
    `insert into export_account
     select id from directory.account ${home}
      union
     select r.requested_by from export_domain join directory.domain d using (id)
       join directory.request r on r.id = d.request_id where r.requested_by is not null`,
    [region],
  );
  const organisations = await client.query(
    `insert into export_organisation
     select id from directory.organisation ${home}
      union
     select o.id from export_domain join directory.domain d using (id)
       left join directory.request r on r.id = d.request_id,
       lateral (values (d.organisation_id), (r.organisation_id)) o (id) where o.id is not null
      union
     select o.id from export_account join directory.account a using (id),
       lateral (values (a.organisation_id), (a.selected_by)) o (id) where o.id is not null
      union
     select m.organisation_id from export_account join directory.admin m on m.account_id = export_account.id`,
    [region],
  );
  await client.query('analyze export_domain, export_account, export_organisation');
  return {
    organisations: organisations.rowCount ?? 0,
    accounts: accounts.rowCount ?? 0,
    domains: domains.rowCount ?? 0,
  };
}

/** A time as the import reads it, `2026-03-01T09:30:00.5Z`: PostgreSQL's own text in UTC, in ISO 8601's dress. */
const time = (expression: string): string => `replace(replace((${expression})::text, ' ', 'T'), '+00', 'Z')`;

const QUERIES: Readonly<Record<FileName, string>> = {
  organisations: `
    select id, name, home_region, consent, ${time('consent_at')} as consent_at,
           ${time('suspended_at')} as suspended_at
      from directory.organisation join export_organisation using (id)
     order by id collate "C"`,
  accounts: `
    select a.id, email, case when email_verified then 'true' else 'false' end as email_verified, kind,
           home_region, state, organisation_id, claimed_domain_id, ${time('claimed_at')} as claimed_at,
           selected_by, ${time('deactivated_at')} as deactivated_at, ${time('deleted_at')} as deleted_at,
           m.admin_of, u.products
      from directory.account a join export_account using (id)
      left join (
        select account_id,
               string_agg(regexp_replace(organisation_id, '([\\\\;@])', '\\\\\\1', 'g') || '@' || ${time('since')}
                            || coalesce('/' || ${time('removed_at')}, ''),
                          ';' order by organisation_id collate "C") as admin_of
          from directory.admin group by account_id
      ) m on m.account_id = a.id
      left join (
        select account_id,
               string_agg(regexp_replace(product, '([\\\\;])', '\\\\\\1', 'g'), ';' order by product collate "C")
                 as products
          from directory.product_use group by account_id
      ) u on u.account_id = a.id
     order by a.id collate "C"`,
  domains: `
    select d.id, d.name, d.organisation_id, d.home_region, d.state, d.request_id, r.requested_by,
           ${time('r.requested_at')} as requested_at, ${time('r.withdrawn_at')} as withdrawn_at, r.token,
           ${time('r.token_issued_at')} as token_issued_at, r.organisation_id as request_organisation_id,
           r.domain_name as request_domain_name, ${time('d.verified_at')} as verified_at, d.proof,
           ${time('d.proof_seen_at')} as proof_seen_at, ${time('d.check_started_at')} as check_started_at,
           ${time('d.checked_at')} as checked_at, d.check_count, ${time('d.next_check_at')} as next_check_at,
           ${time('d.absent_at')} as absent_at, ${time('d.absent_again_at')} as absent_again_at,
           ${time('d.at_risk_since')} as at_risk_since
      from directory.domain d join export_domain using (id)
      left join directory.request r on r.id = d.request_id
     order by d.id collate "C"`,
};
