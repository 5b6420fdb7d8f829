import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { z } from 'zod';
import { policiesInForce } from '../flags/policy-store.js';
import { PortcullisError } from '../kernel/errors.js';
import { word } from '../kernel/schema.js';
import { tarBytes, tarOf, type TarFile } from '../kernel/tar.js';
import { requireRegion, unknownName } from '../kernel/unknown-name.js';
import { download, upload, type Archive, type Received } from './archive.js';
import type { OperationContext } from './context.js';
import { FilesImported, MANIFEST, type FilesExported, type JobFiles } from './job-files.js';
import { SENT_OR_EVERYWHERE } from './operation.js';
import { namePath, regionQuery } from './schemas.js';

/** The database that holds a job's tables of a region; without one, beside the control plane. */
export function filesDatabase(
  { control, regionDatabases }: Pick<OperationContext, 'control' | 'regionDatabases'>,
  region: string | undefined,
): pg.Pool {
  return region === undefined ? control : regionDatabases.of(region).owner;
}

/** The regions of the policies in force. A misspelt region would be taken to stand beside the control plane. */
export async function regionsInForce(control: pg.Pool): Promise<string[]> {
  return [...new Set((await policiesInForce(control)).flatMap(({ regions }) => regions))];
}

const SPOOL = 'portcullis-files-';
/** No upload and no download takes as long. */
const STALE_MS = 86_400_000;

/** Makes a folder for files on their way, which only this user may read. */
export function makeSpool(): Promise<string> {
  return mkdtemp(join(tmpdir(), `${SPOOL}${process.pid}-`));
}

/** Removes the folders of processes that ended before they could. */
export async function removeStaleSpools(): Promise<void> {
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    if (!name.startsWith(SPOOL)) continue;
    const path = join(tmpdir(), name);
    // Another user's, or another process was quicker.
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > STALE_MS)
      await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

function filesOf({ files }: OperationContext, job: string): JobFiles {
  const found = files.find((each) => each.job === job);
  if (found) return found;
  throw unknownName(
    'JOB_UNKNOWN',
    'job',
    job,
    files.map((each) => each.job),
  );
}

/** Files in a folder, as an archive behind their manifest. */
async function archiveOf(
  folder: string,
  files: readonly string[],
  manifest: FilesExported,
): Promise<Archive> {
  const text = Buffer.from(`${JSON.stringify(manifest)}\n`);
  const members: TarFile[] = [{ name: MANIFEST, bytes: text.length, chunks: only(text) }];
  for (const file of files) {
    const path = join(folder, `${file}.csv`);
    const { size } = await stat(path);
    members.push({ name: `${file}.csv`, bytes: size, chunks: lazily(() => createReadStream(path)) });
  }
  return {
    bytes: tarBytes(members),
    chunks: tarOf(members),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

async function* only(chunk: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(chunk);
}

/** Opens what it reads when it is read, and not before. */
async function* lazily(open: () => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* open();
}

const namesQuery = z
  .string()
  .max(10_000)
  .transform((text, context) => {
    const parsed = z.record(word, word).safeParse(jsonOr(text));
    if (parsed.success) return parsed.data;
    context.addIssue('must be a JSON object: {"accounts": "what accounts.csv is called"}');
    return z.NEVER;
  });

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Rows of a job's own tables, as files. */
export const jobFileOperations = {
  exportJobFiles: download({
    at: 'GET /api/v1/jobs/:job/files',
    example: { job: 'domain-claim', region: 'eu-west-1' },
    summary: "A job's own tables as CSV files, in one tar archive: one moment, as the import takes them",
    action: 'read',
    params: z.strictObject({ job: namePath }),
    query: z.strictObject({
      region: regionQuery.describe(
        'only what is at home in this region, out of the database of this region; else everything beside the control plane',
      ),
    }),
    errors: ['JOB_UNKNOWN', 'FILE_UNWRITABLE', 'TRANSFERS_FULL'],
    run: async (context, { job, region }, caller, signal) => {
      const found = filesOf(context, job);
      const folder = await makeSpool();
      try {
        const order = { ...(await orderIn(context, region)), caller, signal, folder };
        return await archiveOf(folder, found.files, await found.write(order));
      } catch (error) {
        await rm(folder, { recursive: true, force: true });
        throw error;
      }
    },
  }),
  importJobFiles: upload({
    at: 'POST /api/v1/jobs/:job/files',
    example: { job: 'domain-claim', region: 'eu-west-1' },
    summary: "Imports CSV files into a job's own tables, all or nothing, out of a tar archive of them",
    action: 'import-directory',
    reach: SENT_OR_EVERYWHERE,
    params: z.strictObject({ job: namePath }),
    query: z.strictObject({
      region: regionQuery.describe('into the database of this region; else beside the control plane'),
      replace: z
        .enum(['true', 'false'])
        .optional()
        .describe('true: empties the tables first, in the same transaction'),
      update: z
        .enum(['true', 'false'])
        .optional()
        .describe('true: brings rows that are there up to date, in the columns that their file has'),
      names: namesQuery
        .optional()
        .describe('what each file is called in messages, as a JSON object; absent: its name in the archive'),
    }),
    errors: [
      'JOB_UNKNOWN',
      'REGION_UNKNOWN',
      'CSV_INVALID',
      'DIRECTORY_BUSY',
      'NOTHING_REACHED',
      'FILE_UNWRITABLE',
      'BODY_TOO_LARGE',
      'TRANSFERS_FULL',
    ],
    result: FilesImported,
    run: async (context, { job, region, replace, update, names, archive }, caller, signal) => {
      const found = filesOf(context, job);
      const order = await orderIn(context, region);
      if (region !== undefined && order.regions.length > 0) requireRegion(region, order.regions);
      const { files, inArchive } = membersOf(found, archive);
      return found.read({
        ...{ ...order, caller, signal, files },
        names: { ...inArchive, ...names },
        replace: replace === 'true',
        update: update === 'true',
      });
    },
  }),
};

async function orderIn(context: OperationContext, region: string | undefined) {
  const { control } = context;
  return {
    control,
    database: filesDatabase(context, region),
    region,
    regions: await regionsInForce(control),
  };
}

/** Which of the job's files an archive has. Throws REQUEST_INVALID for one that the job does not know. */
function membersOf({ job, files }: JobFiles, archive: Received) {
  const found: Record<string, string> = {};
  const inArchive: Record<string, string> = {};
  for (const [member, path] of Object.entries(archive.files)) {
    if (member === MANIFEST) continue;
    const name = files.find((file) => member === `${file}.csv`);
    if (name === undefined) {
      throw new PortcullisError('REQUEST_INVALID', `${job} has no file ${JSON.stringify(member)}`, {
        hint: `it has ${files.map((file) => `${file}.csv`).join(', ')}`,
        details: { file: member },
      });
    }
    found[name] = path;
    inArchive[name] = member;
  }
  return { files: found, inArchive };
}
