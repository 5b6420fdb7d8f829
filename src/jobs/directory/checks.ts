import type pg from 'pg';
import type { FileName } from './columns.js';
import { type Faults, SHOWN_FAULTS } from '../../csv/faults.js';

/** What no line can show by itself: a query over staging and directory that answers the faulty lines and why. */
interface Check {
  readonly file: FileName;
  readonly sql: string;
  /** Only where rows must be new, or only where rows that are there are brought up to date. */
  readonly when?: 'import' | 'update';
}

const STAGING = { organisations: 'organisation', accounts: 'account', domains: 'domain' } as const;

/** A line's id stands on an earlier line, or in the directory. */
function ofIds(file: FileName): Check[] {
  const table = STAGING[file];
  return [
    {
      file,
      sql: `select s.line, format('the id %s is also on line %s', to_json(s.id), d.first) as reason
              from import_${table} s
              join (select id, min(line) as first from import_${table} group by id having count(*) > 1) d
                on d.id = s.id and d.first < s.line`,
    },
    {
      file,
      when: 'import',
      sql: `select s.line, format('the ${table} %s is in the directory already', to_json(s.id)) as reason
              from import_${table} s join directory.${table} d on d.id = s.id`,
    },
  ];
}

/** A column names a row that is neither in its file nor in the directory. `rows` yields line and id. */
function ofReference(file: FileName, column: string, to: 'organisation' | 'account', rows?: string): Check {
  const source =
    rows ?? `select line, ${column} as id from import_${STAGING[file]} where ${column} is not null`;
  return {
    file,
    sql: `select r.line, format('${column}: there is no ${to} %s', to_json(r.id)) as reason
            from (${source}) r
           where not exists (select from import_${to} s where s.id = r.id)
             and not exists (select from directory.${to} d where d.id = r.id)`,
  };
}

/** The entries of `admin_of`, one a row. */
export const ADMINS = `select a.line, a.id as account_id, e.organisation_id, e.since, e.removed_at
  from import_account a, jsonb_to_recordset(a.admin_of)
       as e (organisation_id text, since timestamptz, removed_at timestamptz)
 where a.admin_of <> '[]'`;

const CHECKS: readonly Check[] = [
  ...ofIds('organisations'),
  ...ofIds('accounts'),
  ofReference('accounts', 'organisation_id', 'organisation'),
  ofReference('accounts', 'selected_by', 'organisation'),
  ofReference(
    'accounts',
    'admin_of',
    'organisation',
    `select line, organisation_id as id from (${ADMINS}) a`,
  ),
  {
    file: 'accounts',
    sql: `select line, format('admin_of names %s %s times', to_json(organisation_id), count(*)) as reason
            from (${ADMINS}) a group by line, organisation_id having count(*) > 1`,
  },
  ...ofIds('domains'),
  ofReference('domains', 'organisation_id', 'organisation'),
  ofReference('domains', 'request_organisation_id', 'organisation'),
  ofReference('domains', 'requested_by', 'account'),
  {
    file: 'domains',
    sql: `select s.line, format('%s has the domain %s on line %s too',
                                to_json(s.organisation_id), to_json(s.name), d.first) as reason
            from import_domain s
            join (select name, organisation_id, min(line) as first from import_domain
                   group by name, organisation_id having count(*) > 1) d
              on d.name = s.name and d.organisation_id = s.organisation_id and d.first < s.line`,
  },
  {
    file: 'domains',
    sql: `select s.line, format('%s has the domain %s in the directory already, as %s',
                                to_json(s.organisation_id), to_json(s.name), to_json(d.id)) as reason
            from import_domain s join directory.domain d using (name, organisation_id)
           where d.id <> s.id`,
  },
  {
    file: 'domains',
    sql: `select s.line, format('the domain %s is VERIFIED or AT_RISK on line %s too: a domain has one owner',
                                to_json(s.name), d.first) as reason
            from import_domain s
            join (select name, min(line) as first from import_domain where state in ('VERIFIED', 'AT_RISK')
                   group by name having count(*) > 1) d
              on d.name = s.name and d.first < s.line
           where s.state in ('VERIFIED', 'AT_RISK')`,
  },
  {
    file: 'domains',
    sql: `select s.line, format('the domain %s has an owner in the directory, %s: a domain has one owner',
                                to_json(s.name), to_json(d.organisation_id)) as reason
            from import_domain s join directory.domain d on d.name = s.name
           where s.state in ('VERIFIED', 'AT_RISK') and d.state in ('VERIFIED', 'AT_RISK') and d.id <> s.id`,
  },
  {
    file: 'domains',
    when: 'update',
    sql: `select s.line, format('the request %s is in the directory with other particulars: a token is issued once, for one request',
                                to_json(s.request_id)) as reason
            from import_domain s join directory.request r on r.id = s.request_id
           where (s.requested_by, s.requested_at, s.token, s.token_issued_at,
                  coalesce(s.request_organisation_id, s.organisation_id), coalesce(s.request_domain_name, s.name))
              is distinct from
                 (r.requested_by, r.requested_at, r.token, r.token_issued_at, r.organisation_id, r.domain_name)`,
  },
  {
    file: 'domains',
    when: 'import',
    sql: `select s.line, format('the request %s is in the directory already', to_json(s.request_id)) as reason
            from import_domain s join directory.request r on r.id = s.request_id`,
  },
  {
    file: 'domains',
    sql: `select s.line, format('its token is that of request %s on line %s: a token is issued once',
                                to_json(f.request_id), f.line) as reason
            from import_domain s
            join (select distinct on (token) token, request_id, line from import_domain
                   where token is not null and request_id is not null order by token, line) f on f.token = s.token
           where f.line < s.line and f.request_id <> s.request_id`,
  },
  {
    file: 'domains',
    sql: `select s.line, format('its token is that of request %s in the directory: a token is issued once',
                                to_json(r.id)) as reason
            from import_domain s join directory.request r on r.token = s.token
           where r.id <> s.request_id`,
  },
  {
    file: 'domains',
    sql: `select s.line, format('the request %s is on line %s with other particulars',
                                to_json(s.request_id), f.line) as reason
            from import_domain s
            join (select distinct on (request_id) * from import_domain
                   where request_id is not null order by request_id, line) f on f.request_id = s.request_id
           where f.line < s.line
             and (s.requested_by, s.requested_at, s.withdrawn_at, s.token, s.token_issued_at,
                  coalesce(s.request_organisation_id, s.organisation_id), coalesce(s.request_domain_name, s.name))
              is distinct from
                 (f.requested_by, f.requested_at, f.withdrawn_at, f.token, f.token_issued_at,
                  coalesce(f.request_organisation_id, f.organisation_id), coalesce(f.request_domain_name, f.name))`,
  },
];

/** Adds what is wrong between the staged lines, and between them and the directory, to `faults`. */
export async function checkStaged(
  client: pg.PoolClient,
  files: readonly { readonly name: FileName; readonly called: string }[],
  faults: Faults,
  how: 'import' | 'update',
): Promise<void> {
  for (const { name, called } of files) {
    for (const { file, sql, when = how } of CHECKS) {
      if (file !== name || when !== how) continue;
      const { rows } = await client.query<{ line: number; reason: string; total: number }>(
        `select line, reason, count(*) over () as total from (${sql}) c order by line, reason limit ${SHOWN_FAULTS}`,
      );
      const first = rows.map(({ line, reason }) => ({ line, reason }));
      faults.addCounted(called, first, rows[0]?.total ?? 0);
    }
  }
}
