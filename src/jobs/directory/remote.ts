import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { Server } from '../../cli/credentials.js';
import { invokeAt } from '../../cli/invoke-at.js';
import { PortcullisError } from '../../kernel/errors.js';
import { readTar, tarBytes, tarOf, type TarFile } from '../../kernel/tar.js';
import {
  MANIFEST,
  readManifest,
  type FilesExported,
  type FilesImported,
} from '../../operations/job-files.js';
import { makeSpool } from '../../operations/move-files.js';
import { fileError } from '../../postgres/file-error.js';
import { FILES } from './columns.js';
import { directoryFiles } from './files.js';
import type { ImportFiles } from './import.js';

/** An import may take minutes before it is answered, and an export before it begins. */
const ANSWER_MS = 3_600_000;

type Say = (text: string) => void;

/** Imports files of this machine through a server: the same files, the same answer and the same faults. */
export async function sendFiles(
  server: Server,
  order: {
    readonly files: ImportFiles;
    readonly replace: boolean;
    readonly update: boolean;
    readonly region: string | undefined;
  },
  say: Say,
): Promise<FilesImported> {
  const invoke = await invokeAt(server, ANSWER_MS);
  const spool: { folder?: string } = {};
  try {
    const members: Member[] = [];
    const names: Record<string, string> = {};
    for (const { name } of FILES) {
      const path = order.files[name];
      if (path === undefined) continue;
      names[name] = path;
      members.push(await memberOf(`${name}.csv`, path, spool));
    }
    let unreadable: unknown;
    const { region, replace, update } = order;
    const total = tarBytes(members);
    return await invoke('importJobFiles', {
      ...{ job: directoryFiles.job, names: JSON.stringify(names), replace: replace ? 'true' : 'false' },
      ...(update && { update: 'true' }),
      ...(region !== undefined && { region }),
      archive: () => counted(tarOf(members.map(fileOf)), total, say, (error) => (unreadable = error)),
    }).catch((error: unknown) => {
      // What broke the upload off is told, not that it was broken off.
      throw fileError(
        'FILE_UNREADABLE',
        unreadable ?? error,
        'check that the files are not written meanwhile',
      );
    });
  } finally {
    if (spool.folder !== undefined) await rm(spool.folder, { recursive: true, force: true });
  }
}

interface Member {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** A file, with its size. What is none, as a pipe, is written into one first. Throws FILE_UNREADABLE. */
async function memberOf(name: string, path: string, spool: { folder?: string }): Promise<Member> {
  try {
    const handle = await open(path);
    try {
      const found = await handle.stat();
      if (found.isFile()) return { name, path, bytes: found.size };
      spool.folder ??= await makeSpool();
      const copy = join(spool.folder, name);
      await pipeline(handle.createReadStream({ autoClose: false }), createWriteStream(copy, { mode: 0o600 }));
      return { name, path: copy, bytes: (await stat(copy)).size };
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError('FILE_UNREADABLE', error, `check that ${path} is a file, is there and may be read`);
  }
}

function fileOf({ name, path, bytes }: Member): TarFile {
  // What is written to it from now on is not sent.
  const chunks = bytes === 0 ? nothing() : createReadStream(path, { end: bytes - 1 });
  return { name, bytes, chunks };
}

// eslint-disable-next-line @typescript-eslint/require-await -- a list without items
async function* nothing(): AsyncGenerator<Uint8Array, void> {
  return;
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  total: number,
  say: Say,
  failed: (error: unknown) => void,
): AsyncGenerator<Uint8Array, void> {
  let sent = 0;
  try {
    for await (const chunk of chunks) {
      yield chunk;
      sent += chunk.length;
      say(`sending, ${Math.floor((100 * sent) / total)} %`);
    }
  } catch (error) {
    failed(error);
    throw error;
  }
  say('the server imports');
}

/** Exports through a server into a folder of this machine: the same files and the same answer. */
export async function fetchFiles(
  server: Server,
  folder: string,
  region: string | undefined,
  say: Say,
): Promise<FilesExported> {
  const invoke = await invokeAt(server, ANSWER_MS);
  const written: string[] = [];
  const partial = (path: string): string => `${path}.partial`;
  try {
    const archive = await invoke('exportJobFiles', {
      job: directoryFiles.job,
      ...(region !== undefined && { region }),
    });
    await mkdir(folder, { recursive: true });
    let manifest: FilesExported | undefined;
    for await (const { name, chunks } of readTar(archive)) {
      if (name === MANIFEST) {
        manifest = readManifest(await text(Readable.from(chunks)));
        continue;
      }
      // Never a path that a server names.
      if (!FILES.some((file) => `${file.name}.csv` === name)) continue;
      say(`receiving ${name}`);
      const path = join(folder, name);
      written.push(path);
      await pipeline(chunks, createWriteStream(partial(path), { mode: 0o600 }));
    }
    if (manifest === undefined || written.length !== FILES.length) throw incomplete(server);
    for (const path of written) await rename(partial(path), path);
    return manifest;
  } catch (error) {
    await Promise.all(written.map((path) => rm(partial(path), { force: true }).catch(() => undefined)));
    throw fileError('FILE_UNWRITABLE', error, 'check that the folder may be written and the disk has room');
  }
}

function incomplete({ url }: Server): PortcullisError {
  return new PortcullisError('SERVER_UNREACHABLE', `${url} answers with an archive that lacks files`, {
    hint: 'use the command line of the release that runs there',
    details: { url },
  });
}
