import { resolve } from 'node:path';
import type { Command } from 'commander';
import type pg from 'pg';
import { recordAudit } from '../../audit/record.js';
import { PortcullisError } from '../../kernel/errors.js';
import { FILES, type FileName } from './columns.js';
import { Faults } from '../../csv/faults.js';
import { exportDirectory } from './export.js';
import { importDirectory, type ImportFiles } from './import.js';
import { nearest } from '../../kernel/nearest.js';
import { recordPersonalRead } from '../../access/personal-data.js';
import { requireActing } from '../../cli/acting.js';
import type { Installation } from '../../cli/app-port.js';
import { voiceOf, withInstallation, type Context } from '../../cli/context.js';
import { group, leaf } from '../../cli/leaf.js';
import { regionsIn, requireRegion } from '../../cli/names.js';
import { withProgress } from '../../cli/progress.js';
import { countOf } from '../../kernel/words.js';

export function addDirectory(program: Command, context: Context): void {
  const directory = group(
    program,
    'directory',
    'Import and export organisations, domains and accounts as CSV.',
  );
  addImport(directory, context);
  addExport(directory, context);
}

function addImport(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'import',
    'Import a directory from CSV files (RFC 4180, UTF-8), all or nothing. A line with a fault is named with its number and reason. Of the columns below, those behind “also” may be left out; `admin_of` holds organisation@since or organisation@since/removed, `products` those that the account is used in, each with semicolons between them.',
    [
      'portcullis directory import --organisations o.csv --domains d.csv --accounts a.csv',
      'portcullis directory import --organisations o.csv --domains d.csv --accounts a.csv --replace --json',
      'portcullis directory import --organisations o.csv --domains d.csv --accounts a.csv --region eu-central-1',
    ],
  )
    .option('--organisations <file>', columnsOf('organisations'))
    .option('--domains <file>', columnsOf('domains'))
    .option('--accounts <file>', columnsOf('accounts'))
    .option('--replace', 'empty the directory first, in the same transaction; needs all three files')
    .option('-r, --region <region>', 'into the database of this region, where it has one of its own')
    .action(async ({ replace = false, region, ...files }: ImportCommand) => {
      const voice = voiceOf(context, command);
      const notes = new Faults();
      const report = await withInstallation(context, async (installation) => {
        const { name: principal } = await requireActing(context, installation, 'import-directory');
        const { control } = installation;
        // A misspelt one would be taken to stand beside the control plane.
        const regions = regionsIn(await context.app.policies(installation));
        if (region !== undefined) requireRegion(region, regions);
        const database = databaseOf(installation, region);
        return withProgress(context.io.stderr, 'importing', (progress) =>
          importDirectory(database, files, {
            replace,
            notes,
            // Before the first policy is in force any region may be meant.
            ...(regions.length > 0 && { regions }),
            onProgress: ({ step, rows }) => progress.say(`${step}, ${countOf(rows, 'row')}`),
            record: async (client, rows) => {
              if (!replace && Object.values(rows).every((count) => count === 0)) throw nothingImported(files);
              // The record is in the control plane's database: elsewhere it comes just before the rows.
              await recordAudit(database === control ? client : control, {
                principal,
                action: 'import-directory',
                subject: 'directory',
                evidence: { files, replace, rows, ...(region !== undefined && { region }) },
              });
            },
          }),
        );
      });
      voice.result({ ...report, notes: { total: notes.total, first: notes.first() } }, () =>
        [
          voice.table(
            [{ title: 'imported' }, { title: 'rows' }],
            Object.entries(report).map(([table, rows]: [string, number]) => [table, rows]),
          ),
          notesText(notes),
        ].join(''),
      );
    });
}

function notesText(notes: Faults): string {
  if (notes.total === 0) return '';
  const title = `${countOf(notes.total, 'row')} imported that no run will work on:`;
  return `\n${[title, ...notes.lines()].join('\n')}\n`;
}

function nothingImported(files: ImportFiles): PortcullisError {
  return new PortcullisError('NOTHING_REACHED', 'the files have no rows; nothing was imported', {
    hint: 'check that these are the files that you mean; to empty the directory: --replace with all three',
    details: { files },
  });
}

type ImportCommand = ImportFiles & { readonly replace?: boolean; readonly region?: string };

/** The database that holds the directory of a region. */
function databaseOf({ control, regionDatabases }: Installation, region: string | undefined): pg.Pool {
  return region === undefined ? control : regionDatabases.of(region).owner;
}

function columnsOf(file: FileName): string {
  const columns = FILES.find(({ name }) => name === file)?.columns ?? [];
  const names = (of: (needs: string) => boolean): string =>
    columns.flatMap(({ name, needs }) => (of(needs) ? [name] : [])).join(', ');
  return `${names((needs) => needs !== 'nothing')}; also ${names((needs) => needs === 'nothing')}`;
}

function addExport(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'export <folder>',
    'Write the directory as three CSV files that `directory import` takes. Only their owner may read them.',
    ['portcullis directory export ./backup', 'portcullis directory export ./eu --region eu-west-1'],
  )
    .option(
      '-r, --region <region>',
      'only accounts and domains whose home this is, and what they refer to, out of this region’s database',
    )
    .action(async (folder: string, { region }: { region?: string }) => {
      const voice = voiceOf(context, command);
      // Not for a look: it makes temporary tables, which a read-only transaction may not.
      await withInstallation(context, async (installation) => {
        const principal = await requireActing(context, installation, 'read');
        await recordPersonalRead(installation.control, principal, 'directory', {
          region: region ?? null,
          folder: resolve(folder),
        });
        const report = await withProgress(context.io.stderr, 'exporting the directory', () =>
          exportDirectory(
            databaseOf(installation, region),
            resolve(folder),
            region === undefined ? {} : { region },
          ),
        );
        voice.result(report, () =>
          voice.table(
            [{ title: 'file' }, { title: 'rows' }],
            [
              [report.files.organisations, report.rows.organisations],
              [report.files.accounts, report.rows.accounts],
              [report.files.domains, report.rows.domains],
            ],
          ),
        );
        const { organisations, accounts, domains } = report.rows;
        if (accounts + domains + (region === undefined ? organisations : 0) > 0) return;
        const regions = regionsIn(await context.app.policies(installation));
        const meant = region === undefined || regions.includes(region) ? undefined : nearest(region, regions);
        throw new PortcullisError(
          'NOTHING_REACHED',
          region === undefined
            ? 'the directory is empty; the files have no rows'
            : `no account or domain has its home in ${region}; the files have none either`,
          {
            hint:
              meant === undefined
                ? 'check that this is the database that you mean: portcullis status'
                : `did you mean ${meant}?`,
            details: { region: region ?? null, files: report.files },
          },
        );
      });
    });
}
