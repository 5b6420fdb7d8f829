import type pg from 'pg';
import { PortcullisError, messageOf } from '../../kernel/errors.js';
import { LOCKS } from '../../postgres/locks.js';
import { inTransaction } from '../../postgres/pool.js';
import { ADMINS, checkStaged } from './checks.js';
import { FILES, type FileName, type FileShape } from './columns.js';
import { Faults } from '../../csv/faults.js';
import { notesOn } from './notes.js';
import type { Row } from '../../csv/rows.js';
import { createStaging, stage } from './stage.js';

/** The paths of a directory's files; an import may leave some out. */
export type ImportFiles = { readonly [Name in FileName]?: string | undefined };

export interface ImportProgress {
  readonly step: `reading ${FileName}` | 'checking' | 'writing';
  /** Rows of this file read so far; of all files, once they are read. */
  readonly rows: number;
}

export interface ImportOptions {
  /** Empties the directory first, in the same transaction; needs all three files. Default: rows must be new. */
  readonly replace?: boolean;
  /**
   * Brings rows that are in the directory up to date, in the columns that their file has; others stay as they are, and
   * none is removed.
   */
  readonly update?: boolean;
  /** How long to wait for a run or another import that is using the directory. Default 10,000. */
  readonly waitMs?: number;
  readonly onProgress?: (progress: ImportProgress) => void;
  /** Where to note the rows that are imported, and that no run works on. */
  readonly notes?: Faults;
  /** What each file is called in messages; absent: its path. */
  readonly names?: ImportFiles;
  /** Aborted: nothing is imported. */
  readonly signal?: AbortSignal | undefined;
  /** The regions of the policies; absent: any region may be. */
  readonly regions?: readonly string[];
  /** Runs last in the import's transaction: what it puts on the record commits with the rows, or not at all. */
  readonly record?: (client: pg.PoolClient, report: ImportReport) => Promise<void>;
}

/** How many rows were imported into each table; of an update, those that were new or have changed. */
export interface ImportReport {
  readonly organisations: number;
  readonly accounts: number;
  readonly admins: number;
  /** Products that accounts are used in, each account's by itself. */
  readonly productUses: number;
  readonly requests: number;
  readonly domains: number;
}

/** Two imports at once would each miss what the other is about to write. */

const DEFAULT_WAIT_MS = 10_000;

const EMPTY =
  'truncate directory.organisation, directory.account, directory.admin, directory.product_use, directory.request, directory.domain';

/** In this order every row finds those that it refers to. */
const WRITES: Readonly<Record<keyof ImportReport, string>> = {
  organisations: `insert into directory.organisation (id, name, home_region, suspended_at, consent, consent_at)
    select id, name, home_region, suspended_at, consent, consent_at from import_organisation`,
  accounts: `insert into directory.account
      (id, email, email_verified, kind, home_region, state, organisation_id, claimed_domain_id, claimed_at,
       selected_by, deactivated_at, deleted_at)
    select id, email, email_verified, kind, home_region, state, organisation_id, claimed_domain_id, claimed_at,
           selected_by, deactivated_at, deleted_at
      from import_account`,
  admins: `insert into directory.admin (organisation_id, account_id, since, removed_at)
    select organisation_id, account_id, since, removed_at from (${ADMINS}) a`,
  productUses: `insert into directory.product_use (account_id, product)
    select id, product from import_account, jsonb_array_elements_text(products) product
     where products <> '[]'`,
  requests: `insert into directory.request
      (id, organisation_id, domain_name, requested_by, requested_at, withdrawn_at, token, token_issued_at)
    select distinct on (request_id)
           request_id, coalesce(request_organisation_id, organisation_id), coalesce(request_domain_name, name),
           requested_by, requested_at, withdrawn_at, token, token_issued_at
      from import_domain where request_id is not null order by request_id, line`,
  domains: `insert into directory.domain
      (id, name, organisation_id, home_region, state, request_id, verified_at, proof, proof_seen_at,
       check_started_at, checked_at, check_count, next_check_at, absent_at, absent_again_at, at_risk_since)
    select d.id, d.name, d.organisation_id, coalesce(d.home_region, o.home_region), d.state, d.request_id,
           d.verified_at, d.proof, d.proof_seen_at, d.check_started_at, d.checked_at, d.check_count,
           d.next_check_at, d.absent_at, d.absent_again_at, d.at_risk_since
      from import_domain d join directory.organisation o on o.id = d.organisation_id`,
};

const IMPORTS: Readonly<Record<keyof ImportReport, readonly string[]>> = {
  organisations: [WRITES.organisations],
  accounts: [WRITES.accounts],
  admins: [WRITES.admins],
  productUses: [WRITES.productUses],
  requests: [WRITES.requests],
  domains: [WRITES.domains],
};

/** Which columns each file has. */
type Columns = Partial<Record<FileName, ReadonlySet<string>>>;

/** What of a row follows its file, besides what each file must have. */
const MAY_FOLLOW = {
  organisations: ['consent', 'consent_at', 'suspended_at'],
  accounts: [
    ...[
      'kind',
      'state',
      'organisation_id',
      'claimed_domain_id',
      'claimed_at',
      'selected_by',
      'deactivated_at',
    ],
    'deleted_at',
  ],
  domains: [
    ...['home_region', 'state', 'request_id', 'verified_at', 'proof', 'proof_seen_at', 'check_started_at'],
    ...['checked_at', 'check_count', 'next_check_at', 'absent_at', 'absent_again_at', 'at_risk_since'],
  ],
} as const satisfies Record<FileName, readonly string[]>;
const MUST_FOLLOW = {
  organisations: ['name', 'home_region'],
  accounts: ['email', 'email_verified', 'home_region'],
  domains: ['name', 'organisation_id'],
} as const satisfies Record<FileName, readonly string[]>;

/** SQL that has a row which is there follow its file; one that is so already is not written. */
function following(table: string, key: string, columns: readonly string[]): string {
  const of = (row: string): string => columns.map((column) => `${row}.${column}`).join(', ');
  return ` on conflict (${key}) do update set (${columns.join(', ')}) = row(${of('excluded')})
    where (${of(table)}) is distinct from (${of('excluded')})`;
}

/** The statements of an update, in the order of {@link WRITES}; undefined: the files say nothing of that. */
function updatesFor(columns: Columns): Readonly<Record<keyof ImportReport, readonly string[]>> {
  const follow = (file: FileName, table: string): string => {
    const given = MAY_FOLLOW[file].filter((column) => columns[file]?.has(column));
    return `${WRITES[file]}${following(table, 'id', [...MUST_FOLLOW[file], ...given])}`;
  };
  const has = (file: FileName, column: string): boolean => columns[file]?.has(column) === true;
  return {
    organisations: [follow('organisations', 'organisation')],
    accounts: [follow('accounts', 'account')],
    admins: has('accounts', 'admin_of')
      ? [
          `update directory.admin m set removed_at = clock_timestamp()
           where m.removed_at is null and m.account_id in (select id from import_account)
             and not exists (select from (${ADMINS}) a
               where (a.organisation_id, a.account_id) = (m.organisation_id, m.account_id))`,
          `${WRITES.admins}${following('admin', 'organisation_id, account_id', ['since', 'removed_at'])}`,
        ]
      : [],
    productUses: has('accounts', 'products')
      ? [
          `delete from directory.product_use u using import_account a
           where a.id = u.account_id and not a.products ? u.product`,
          `${WRITES.productUses} on conflict do nothing`,
        ]
      : [],
    requests: [
      `${WRITES.requests}${has('domains', 'withdrawn_at') ? following('request', 'id', ['withdrawn_at']) : ' on conflict do nothing'}`,
    ],
    domains: [follow('domains', 'domain')],
  };
}

const TABLES = ['organisation', 'account', 'admin', 'product_use', 'request', 'domain'].map(
  (table) => `directory.${table}`,
);

/**
 * Imports a company's own directory from CSV files (RFC 4180, UTF-8), all or nothing, in one transaction and
 * in flat memory. The pool's login must be the owner's (temporary tables, truncate). Throws CSV_INVALID with every fault counted and the first named by file, line and reason;
 * FILE_UNREADABLE; DIRECTORY_BUSY where a run holds the directory; REQUEST_INVALID where the options make no sense.
 */
export async function importDirectory(
  pool: pg.Pool,
  paths: ImportFiles,
  options: ImportOptions = {},
): Promise<ImportReport> {
  const files = FILES.flatMap((shape) => {
    const path = paths[shape.name];
    return path === undefined
      ? []
      : [{ name: shape.name, path, called: options.names?.[shape.name] ?? path, shape }];
  });
  refuseNonsense(files.length, options);
  const { signal } = options;
  const within = async (client: pg.PoolClient): Promise<ImportReport> => {
    await client.query(`select set_config('lock_timeout', $1, true)`, [
      `${options.waitMs ?? DEFAULT_WAIT_MS}ms`,
    ]);
    await busyUnless(() => client.query('select pg_advisory_xact_lock($1)', [LOCKS.directoryImport]));
    for (const shape of FILES) await createStaging(client, shape);

    const faults = new Faults();
    let whole = true;
    let total = 0;
    const columns: Columns = {};
    for (const { name, path, called, shape } of files) {
      let count = 0;
      const read = await stage(client, { path, name: called }, shape, faults, {
        onRows: (rows) => {
          signal?.throwIfAborted();
          count = rows;
          options.onProgress?.({ step: `reading ${name}`, rows });
        },
        onRow: noter(called, shape, options),
        onColumns: (names) => (columns[name] = names),
      });
      whole &&= read;
      total += count;
    }
    if (options.replace === true) await busyUnless(() => client.query(EMPTY));
    options.onProgress?.({ step: 'checking', rows: total });
    // Of a file that was cut off, others would seem to lack what it has.
    if (whole) await checkStaged(client, files, faults, options.update === true ? 'update' : 'import');
    faults.throwIfAny(
      'correct these lines and import again; where rows are in the directory already, --update brings them up to date, ' +
        'and --replace with all three files puts these in their place',
    );
    options.onProgress?.({ step: 'writing', rows: total });
    const written = await write(client, options.update === true ? updatesFor(columns) : IMPORTS);
    await options.record?.(client, written);
    return written;
  };
  const report = await inTransaction(pool, within, { signal });
  await pool.query(`analyze ${TABLES.join(', ')}`);
  return report;
}

function noter(
  called: string,
  shape: FileShape,
  { notes, regions }: ImportOptions,
): ((row: Row) => void) | undefined {
  if (notes === undefined) return undefined;
  const notesOf = notesOn(shape, regions);
  return (row) => {
    for (const note of notesOf(row)) notes.add(called, row.line, note);
  };
}

function refuseNonsense(files: number, options: ImportOptions): void {
  if (files === 0) {
    throw new PortcullisError('REQUEST_INVALID', 'there is no file to import', {
      hint: 'name at least one of organisations, accounts and domains',
    });
  }
  if (options.replace === true && options.update === true) {
    throw new PortcullisError('REQUEST_INVALID', 'the directory is either replaced or brought up to date', {
      hint: 'leave out one of --replace and --update',
    });
  }
  if (options.replace === true && files < FILES.length) {
    throw new PortcullisError(
      'REQUEST_INVALID',
      'replacing empties the whole directory, and not all is there',
      {
        hint: 'name all three files: organisations, accounts and domains',
      },
    );
  }
}

async function write(
  client: pg.PoolClient,
  writes: Readonly<Record<keyof ImportReport, readonly string[]>>,
): Promise<ImportReport> {
  const report = { organisations: 0, accounts: 0, admins: 0, productUses: 0, requests: 0, domains: 0 };
  for (const table of Object.keys(report) as (keyof ImportReport)[]) {
    for (const sql of writes[table]) {
      const { rowCount } = await busyUnless(() => client.query(sql));
      report[table] += rowCount ?? 0;
    }
  }
  return report;
}

/** Waiting too long for a lock, a deadlock, and a row that came in beside us since the checks. */
const BUSY = new Set(['55P03', '40P01', '23505', '23503']);

async function busyUnless<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!BUSY.has(String((error as { code?: unknown }).code))) throw error;
    throw new PortcullisError('DIRECTORY_BUSY', `nothing was imported: ${messageOf(error)}`, {
      hint: 'wait for the run or the other import to end, and import again',
      cause: error,
    });
  }
}
