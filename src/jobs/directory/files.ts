import { join } from 'node:path';
import { recordPersonalRead } from '../../access/personal-data.js';
import { recordAudit } from '../../audit/record.js';
import { Faults } from '../../csv/faults.js';
import { PortcullisError } from '../../kernel/errors.js';
import { nearest } from '../../kernel/nearest.js';
import { countOf } from '../../kernel/words.js';
import type {
  ExportOrder,
  FilesExported,
  FilesImported,
  ImportOrder,
  JobFiles,
} from '../../operations/job-files.js';
import { domainClaim } from '../domain-claim/job.js';
import { FILES, type FileName } from './columns.js';
import { exportDirectory } from './export.js';
import { importDirectory, type ImportFiles } from './import.js';

/** The directory as files: the command does it on the database, and the operations over HTTP. */
export const directoryFiles: JobFiles = {
  job: domainClaim.name,
  files: FILES.map(({ name }) => name),
  write: writeDirectory,
  read: readDirectory,
};

/** What a file of a folder is called. */
export function fileIn(folder: string, name: FileName): string {
  return join(folder, `${name}.csv`);
}

async function writeDirectory({
  control,
  database,
  region,
  regions,
  caller,
  signal,
  folder,
  theirs = false,
}: ExportOrder): Promise<FilesExported> {
  await recordPersonalRead(control, caller, 'directory', {
    region: region ?? null,
    ...(theirs && { folder }),
  });
  const { rows } = await exportDirectory(database, folder, { region, signal });
  const { organisations, accounts, domains } = rows;
  if (accounts + domains + (region === undefined ? organisations : 0) > 0) return { rows };
  const meant = region === undefined || regions.includes(region) ? undefined : nearest(region, regions);
  return {
    rows,
    nothing: {
      message:
        region === undefined
          ? 'the directory is empty; the files have no rows'
          : `no account or domain has its home in ${region}; the files have none either`,
      hint:
        meant === undefined
          ? 'check that this is the database that you mean: portcullis status'
          : `did you mean ${meant}?`,
    },
  };
}

async function readDirectory({
  control,
  database,
  region,
  regions,
  caller: { name: principal },
  signal,
  files,
  names,
  replace,
  update = false,
  onProgress,
}: ImportOrder): Promise<FilesImported> {
  const notes = new Faults();
  const called: ImportFiles = { ...files, ...namesOf(files, names) };
  const rows = await importDirectory(database, files, {
    ...{ replace, update, notes, signal, names: called },
    // Before the first policy is in force any region may be meant.
    ...(regions.length > 0 && { regions }),
    onProgress: ({ step, rows }) => onProgress?.(`${step}, ${countOf(rows, 'row')}`),
    record: async (client, written) => {
      if (!replace && Object.values(written).every((count) => count === 0))
        throw update ? nothingChanged(called) : nothingImported(called);
      // The record is in the control plane's database: elsewhere it comes just before the rows.
      await recordAudit(database === control ? client : control, {
        principal,
        action: 'import-directory',
        subject: 'directory',
        evidence: {
          files: called,
          replace,
          ...(update && { update }),
          rows: written,
          ...(region !== undefined && { region }),
        },
      });
    },
  });
  return { rows: { ...rows }, notes: { total: notes.total, first: notes.first() } };
}

function namesOf(files: ImportOrder['files'], names: ImportOrder['names'] = {}): ImportFiles {
  return Object.fromEntries(Object.entries(names).filter(([file]) => file in files));
}

function nothingChanged(files: ImportFiles): PortcullisError {
  return new PortcullisError('NOTHING_REACHED', 'every row is in the directory as the files have it', {
    hint: 'nothing was changed; check that these are the files that you mean',
    details: { files },
  });
}

function nothingImported(files: ImportFiles): PortcullisError {
  return new PortcullisError('NOTHING_REACHED', 'the files have no rows; nothing was imported', {
    hint: 'check that these are the files that you mean; to empty the directory: --replace with all three',
    details: { files },
  });
}
