import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { ensureAdminToken } from '../../access/admin-token.js';
import { messageOf, PortcullisError } from '../../kernel/errors.js';
import { countOf } from '../../kernel/words.js';
import { nothingToDo, setUp, setUpSql, type SetUpReport } from '../../postgres/set-up.js';
import type { DatabaseSetup } from '../../postgres/logins.js';
import { voiceOf, withInstallation, type Context } from '../context.js';
import { leaf } from '../leaf.js';

interface MigrateOptions {
  /** A file, or true for standard output. */
  readonly sql?: string | true;
  readonly database?: string;
}

export function addMigrate(program: Command, context: Context): void {
  const command = leaf(
    program,
    'migrate',
    "Bring the databases to this program's schema, and make its roles. With --sql, print the SQL for a DBA instead.",
    [
      'portcullis migrate',
      'portcullis migrate --sql',
      'portcullis migrate --sql setup.sql --database PORTCULLIS_DATABASE_URL_EU_CENTRAL',
    ],
  )
    .option('--sql [file]', 'change nothing; write the SQL, without passwords, to a file or standard output')
    .option(
      '-d, --database <name>',
      "only this one: control, or the variable of a region's database (default: all that are set)",
    )
    .action(async ({ sql, database }: MigrateOptions) => {
      const voice = voiceOf(context, command);
      await withInstallation(
        context,
        async ({ databases, control, embedded, home }) => {
          const chosen = databasesNamed(databases, database);
          if (sql !== undefined) return printSql(context, chosen, sql);
          const reports: (SetUpReport & { database: string })[] = [];
          for (const each of chosen) reports.push({ database: each.name, ...(await setUp(each)) });
          // On a machine of its own, this may be the first start: what follows acts with the token.
          const adminToken = embedded === false ? undefined : await ensureAdminToken(control, home);
          voice.result({ databases: reports, ...(adminToken && { adminToken }) }, () =>
            reports.map((report) => `${report.database}: ${reportText(report)}\n`).join(''),
          );
          if (adminToken?.standing === 'new') voice.note(`admin token: ${adminToken.file}`);
        },
        'set-up',
      );
    });
}

export function databasesNamed(
  databases: readonly DatabaseSetup[],
  name: string | undefined,
): readonly DatabaseSetup[] {
  if (name === undefined) return databases;
  const found = databases.filter((each) => each.name === name);
  if (found.length > 0) return found;
  throw new PortcullisError('USAGE_INVALID', `there is no database ${name}`, {
    hint: `there is ${databases.map((each) => each.name).join(', ')}; each region's own is named by the variable that holds its URL`,
  });
}

async function printSql(
  context: Context,
  databases: readonly DatabaseSetup[],
  file: string | true,
): Promise<void> {
  const scripts: string[] = [];
  for (const each of databases) {
    scripts.push(`-- ${each.name}\n${(await setUpSql(each)) ?? '-- nothing to do\n'}`);
  }
  return writeSql(context, scripts.join('\n'), file);
}

/** Writes SQL to a file, or to standard output. */
export async function writeSql({ io }: Context, text: string, file: string | true): Promise<void> {
  if (file === true) {
    io.stdout.write(text);
    return;
  }
  await writeFile(file, text).catch((error: unknown) => {
    throw new PortcullisError('FILE_UNWRITABLE', `${file}: ${messageOf(error)}`, {
      hint: 'name a file in a folder that is there and that you may write to',
      cause: error,
    });
  });
}

function reportText(report: SetUpReport): string {
  if (nothingToDo(report)) return 'nothing to do';
  const { migrations, roles, rights } = report;
  return [
    ...(migrations.length > 0
      ? [`${countOf(migrations.length, 'migration')} ran, ${migrations.at(-1) ?? ''} last`]
      : []),
    ...(roles.length > 0 ? [`made the ${roles.length === 1 ? 'role' : 'roles'} ${roles.join(', ')}`] : []),
    ...(rights ? ['rights granted'] : []),
  ].join('; ');
}
