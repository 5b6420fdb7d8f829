import { resolve } from 'node:path';
import type { Command } from 'commander';
import { Faults } from '../../csv/faults.js';
import { PortcullisError } from '../../kernel/errors.js';
import { countOf } from '../../kernel/words.js';
import type { FilesExported, FilesImported } from '../../operations/job-files.js';
import { filesDatabase } from '../../operations/move-files.js';
import { requireActing } from '../../cli/acting.js';
import { voiceOf, withInstallation, type Context } from '../../cli/context.js';
import { withInvoke } from '../../cli/invoke.js';
import { group, leaf } from '../../cli/leaf.js';
import { regionsIn, requireRegion } from '../../cli/names.js';
import { withProgress, type Progress } from '../../cli/progress.js';
import { FILES, type FileName } from './columns.js';
import { directoryFiles, fileIn } from './files.js';
import type { ImportFiles } from './import.js';
import { domainClaim } from '../domain-claim/job.js';
import { fetchFiles, sendFiles } from './remote.js';

export function addDirectory(program: Command, context: Context): void {
  const directory = group(
    program,
    'directory',
    'Import and export organisations, domains and accounts as CSV.',
  );
  addImport(directory, context);
  addExport(directory, context);
  addCheckNow(directory, context);
}

function addImport(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'import',
    'Import a directory from CSV files (RFC 4180, UTF-8), all or nothing. A line with a fault is named with its number and reason. Of the columns below, those behind “also” may be left out; `admin_of` holds organisation@since or organisation@since/removed, `products` those that the account is used in, each with semicolons between them.',
    [
      'portcullis directory import --organisations o.csv --domains d.csv --accounts a.csv',
      'portcullis directory import --organisations o.csv --domains d.csv --accounts a.csv --replace --json',
      'portcullis directory import --accounts a.csv --update',
      'portcullis directory import --organisations o.csv --domains d.csv --accounts a.csv --region eu-central-1',
    ],
  )
    .option('--organisations <file>', columnsOf('organisations'))
    .option('--domains <file>', columnsOf('domains'))
    .option('--accounts <file>', columnsOf('accounts'))
    .option('--replace', 'empty the directory first, in the same transaction; needs all three files')
    .option(
      '--update',
      'bring rows that are there up to date, in the columns that their file has; remove none',
    )
    .option('-r, --region <region>', 'into the database of this region, where it has one of its own')
    .action(async ({ replace = false, update = false, region, ...files }: ImportCommand) => {
      const voice = voiceOf(context, command);
      const { rows, notes } = await withProgress(context.io.stderr, 'importing', (progress) =>
        importFiles(context, { files, replace, update, region }, progress),
      );
      voice.result({ ...rows, notes }, () =>
        [
          voice.table([{ title: 'imported' }, { title: 'rows' }], Object.entries(rows)),
          notesText(notes),
        ].join(''),
      );
    });
}

function importFiles(
  context: Context,
  order: {
    readonly files: ImportFiles;
    readonly replace: boolean;
    readonly update: boolean;
    readonly region: string | undefined;
  },
  progress: Progress,
): Promise<FilesImported> {
  const server = context.server?.();
  if (server !== undefined) return sendFiles(server, order, (text) => progress.say(text));
  return withInstallation(context, async (installation) => {
    const { region } = order;
    const caller = await requireActing(context, installation, 'import-directory');
    const regions = regionsIn(await context.app.policies(installation));
    // A misspelt one would be taken to stand beside the control plane.
    if (region !== undefined) requireRegion(region, regions);
    return directoryFiles.read({
      ...{ control: installation.control, database: filesDatabase(installation, region), regions, caller },
      ...{ region, files: given(order.files), replace: order.replace },
      update: order.update,
      onProgress: (text) => progress.say(text),
    });
  });
}

/** The files among a command's options. */
function given(options: ImportFiles): Readonly<Record<string, string>> {
  return Object.fromEntries(
    FILES.flatMap(({ name }) => (options[name] === undefined ? [] : [[name, options[name]]])),
  );
}

function notesText({ total, first }: FilesImported['notes']): string {
  if (total === 0) return '';
  const notes = new Faults();
  for (const { file, ...note } of first) notes.addCounted(file, [note], 1);
  const lines = notes.lines();
  const more = total > first.length ? [`… and ${total - first.length} more`] : [];
  return `\n${[`${countOf(total, 'row')} imported that no run will work on:`, ...lines, ...more].join('\n')}\n`;
}

type ImportCommand = ImportFiles & {
  readonly replace?: boolean;
  readonly update?: boolean;
  readonly region?: string;
};

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
    .action(async (name: string, { region }: { region?: string }) => {
      const voice = voiceOf(context, command);
      const folder = resolve(name);
      const { rows, nothing } = await withProgress(context.io.stderr, 'exporting the directory', (progress) =>
        exportFiles(context, folder, region, progress),
      );
      const names = ['organisations', 'accounts', 'domains'] as const;
      const files = Object.fromEntries(FILES.map((file) => [file.name, fileIn(folder, file.name)]));
      voice.result({ files, rows }, () =>
        voice.table(
          [{ title: 'file' }, { title: 'rows' }],
          names.map((file) => [files[file] ?? '', rows[file] ?? 0]),
        ),
      );
      if (nothing === undefined) return;
      throw new PortcullisError('NOTHING_REACHED', nothing.message, {
        hint: nothing.hint,
        details: { region: region ?? null, files },
      });
    });
}

function exportFiles(
  context: Context,
  folder: string,
  region: string | undefined,
  progress: Progress,
): Promise<FilesExported> {
  const server = context.server?.();
  if (server !== undefined) return fetchFiles(server, folder, region, (text) => progress.say(text));
  // Not for a look: it makes temporary tables, which a read-only transaction may not.
  return withInstallation(context, async (installation) => {
    const caller = await requireActing(context, installation, 'read');
    const regions = regionsIn(await context.app.policies(installation));
    return directoryFiles.write({
      ...{ control: installation.control, database: filesDatabase(installation, region), regions, caller },
      ...{ region, folder, theirs: true },
    });
  });
}

function addCheckNow(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'check <domain>',
    'Have a domain checked by the next run of its region, whenever its next check would be due. Nothing else of it is changed.',
    ['portcullis directory check acme.com', 'portcullis directory check acme.com --region eu-west-1'],
  )
    .option('-r, --region <region>', 'only in this region')
    .action(async (domain: string, { region }: { region?: string }) => {
      const voice = voiceOf(context, command);
      const order = {
        job: domainClaim.name,
        command: 'check',
        given: { domain },
        ...(region !== undefined && { region }),
      };
      const { done, unreachable } = await withInvoke(context, 'change', (invoke) =>
        invoke('doJobCommand', order),
      );
      voice.result({ done, unreachable }, () =>
        done
          .map(
            ({ domain: name = '', organisation = '', state = '', region: home = '' }) =>
              `${name} of ${organisation} (${state}): the next run in ${home} checks it; now: portcullis run ${domainClaim.name} --region ${home}\n`,
          )
          .join(''),
      );
      for (const database of unreachable) voice.note(`without ${database}, which cannot be reached`);
    });
}
