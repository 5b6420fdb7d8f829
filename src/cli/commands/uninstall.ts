import { Option, type Command } from 'commander';
import { recordAudit } from '../../audit/record.js';
import { PortcullisError } from '../../kernel/errors.js';
import {
  dataText,
  isUninstalled,
  planUninstall,
  requireUnused,
  uninstall,
  uninstallSql,
  uninstallText,
} from '../../regions/uninstall.js';
import { confirmed, yesOption } from '../confirm.js';
import { voiceOf, withInstallation, type Context } from '../context.js';
import { leaf } from '../leaf.js';
import { databasesNamed, writeSql } from './migrate.js';

interface UninstallOptions {
  readonly database: string;
  /** A file, or true for standard output. */
  readonly sql?: string | true;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly withData?: boolean;
  /** A file that gets the journal first. */
  readonly journal?: string;
  readonly yes?: boolean;
}

export function addUninstall(program: Command, context: Context): void {
  const command = leaf(
    program,
    'uninstall',
    'Remove from a database all that Portcullis made there, and nothing else: its schemas with the journal, and its roles. It shows what goes, with how many rows, and asks. The tables that jobs brought stay, unless --with-data is given. What runs did can then never be restored: --journal keeps it in a file. Export the audit log (audit export) first.',
    [
      'portcullis uninstall --database PORTCULLIS_DATABASE_URL_EU_CENTRAL --dry-run',
      'portcullis uninstall --database control --sql uninstall.sql',
      'portcullis uninstall --database control --journal journal.jsonl --yes',
    ],
  )
    .requiredOption('-d, --database <name>', "control, or the variable of a region's database")
    .option('--sql [file]', 'change nothing; write the SQL for a DBA to a file or standard output')
    .option('--dry-run', 'change nothing; show what goes, and what is in the way')
    .option('--force', 'also while runs, connections or incidents are open; never what somebody else made')
    .option('--with-data', 'also the tables that jobs brought, with all their rows')
    .addOption(
      new Option('--journal <file>', 'write the journal to a new file first, as JSON Lines').conflicts([
        'sql',
        'dryRun',
      ]),
    )
    .addOption(yesOption())
    .action(
      async ({
        database,
        sql,
        dryRun = false,
        force = false,
        withData = false,
        journal,
        yes,
      }: UninstallOptions) => {
        const voice = voiceOf(context, command);
        await withInstallation(
          context,
          async ({ databases, control, embedded, home }) => {
            if (embedded !== false) {
              throw new PortcullisError(
                'USAGE_INVALID',
                'the database is the embedded one, which is all of Portcullis',
                {
                  hint: `stop portcullis, and remove the folder ${home}`,
                },
              );
            }
            const [chosen] = databasesNamed(databases, database);
            if (chosen === undefined) return;
            const plan = await planUninstall(
              chosen,
              { control, databases },
              { asDba: sql !== undefined, withData },
            );
            const { schemas, staying, roles, inUse, impossible } = plan;
            const shown = { database, schemas, staying, journal: plan.journal, roles, inUse, impossible };
            if (isUninstalled(plan)) {
              throw new PortcullisError('NOTHING_REACHED', `${database}: nothing of Portcullis is there`);
            }
            if (sql !== undefined) {
              requireUnused(plan, force);
              return writeSql(context, uninstallSql(plan), sql);
            }
            if (dryRun) {
              voice.result(
                { ...shown, removed: false },
                () => `${database} would lose:\n${uninstallText(plan)}`,
              );
              return;
            }
            if (!voice.json) context.io.stderr.write(`${database} loses:\n${uninstallText(plan, journal)}`);
            requireUnused(plan, force);
            const data = dataText(plan);
            const also = data === undefined ? '' : `, deletes ${data}`;
            await confirmed(
              context,
              yes,
              `this removes Portcullis from ${database}${also}, and cannot be undone`,
            );
            await uninstall(chosen, plan, journal);
            if (chosen.owner !== control) {
              await recordAudit(control, {
                principal: 'system:uninstall',
                action: 'uninstall',
                subject: database,
                evidence: shown,
              }).catch(() => voice.note('the control database could not put it on record'));
            }
            voice.result({ ...shown, removed: true }, () => `${database}: removed\n`);
          },
          'set-up',
          // No job's code is needed to drop what it made.
          { jobs: false },
        );
      },
    );
}
