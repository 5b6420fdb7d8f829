import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import { PortcullisError } from '../kernel/errors.js';
import { readTar } from '../kernel/tar.js';
import { fileError } from '../postgres/file-error.js';
import { makeSpool } from '../operations/move-files.js';
import { ARCHIVE_TYPE, type Archive, type Received } from '../operations/archive.js';
import { takesTime } from './listen.js';

/** How long whoever reads or writes may do neither. */
export const STALLED_MS = 60_000;
/** How long an upload may take. */
const LONGEST_MS = 3_600_000;
/** How long the rest of one that is refused is read. */
const REST_MS = 10_000;
/** Each may fill as much of the disk as an upload may have bytes. */
const AT_ONCE = 2;
const MOST_FILES = 16;
/** What a file of an archive may be called: never a path. */
const MEMBER = /^(?:\.\/)?([\w-]{1,60}\.[a-z]{1,10})$/;

/** The uploads and downloads that are under way, so many of each at a time. */
export class Transfers {
  #sending = 0;
  #receiving = 0;

  constructor(private readonly maxBytes: number) {}

  /**
   * Receives an archive into a temporary folder, no faster than the disk takes it, and does `work` on its files; the
   * folder is gone when that is over, however it ends. Throws BODY_TOO_LARGE, REQUEST_INVALID, TRANSFERS_FULL,
   * FILE_UNWRITABLE, and what `work` throws.
   */
  async receive<T>(request: Request, work: (received: Received) => Promise<T>): Promise<T> {
    if (request.is(ARCHIVE_TYPE) === false) {
      throw new PortcullisError('REQUEST_INVALID', 'the request has no archive', {
        hint: `send a tar archive, with the header content-type: ${ARCHIVE_TYPE}`,
      });
    }
    if (Number(request.get('content-length') ?? 0) > this.maxBytes) throw this.#tooLarge();
    if (this.#receiving >= AT_ONCE) throw full('uploads');
    this.#receiving += 1;
    const folder = await makeSpool();
    try {
      return await work(await this.#spool(request, folder));
    } finally {
      this.#receiving -= 1;
      throwAwayRest(request);
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Has an archive made and sends it, no faster than it is read; then removes what it was made of. */
  async send(response: Response, make: () => Promise<Archive>): Promise<void> {
    if (this.#sending >= AT_ONCE) throw full('downloads');
    this.#sending += 1;
    try {
      const archive = await make();
      try {
        await write(response, archive);
      } finally {
        await archive.close();
      }
    } finally {
      this.#sending -= 1;
    }
  }

  async #spool(request: Request, folder: string): Promise<Received> {
    takesTime(request);
    request.setTimeout(STALLED_MS, () => request.destroy());
    const limit = setTimeout(() => request.destroy(), LONGEST_MS);
    const hash = createHash('sha256');
    const files: Record<string, string> = {};
    try {
      for await (const { name, chunks } of readTar(this.#counted(request, hash))) {
        const file = MEMBER.exec(name)?.[1];
        if (file === undefined || file in files || Object.keys(files).length === MOST_FILES) {
          throw new PortcullisError(
            'REQUEST_INVALID',
            `the archive has ${JSON.stringify(name)}, which is not taken`,
            {
              hint: 'put each file into it once, by its own name and without a folder',
              details: { file: name },
            },
          );
        }
        const path = join(folder, file);
        await pipeline(chunks, createWriteStream(path, { mode: 0o600 }));
        files[file] = path;
      }
    } catch (error) {
      throw fileError(
        'FILE_UNWRITABLE',
        error,
        'the server has no room for the upload: tell whoever runs it',
      );
    } finally {
      clearTimeout(limit);
      request.setTimeout(0);
    }
    return { files, sha256: hash.digest('hex') };
  }

  async *#counted(
    request: Request,
    hash: { update(chunk: Uint8Array): unknown },
  ): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    // Not destroyed when it is left, or the refusal could not be sent.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      bytes += (chunk as Uint8Array).length;
      if (bytes > this.maxBytes) throw this.#tooLarge();
      hash.update(chunk as Uint8Array);
      yield chunk as Uint8Array;
    }
  }

  #tooLarge(): PortcullisError {
    return new PortcullisError('BODY_TOO_LARGE', `the upload is larger than ${this.maxBytes} bytes`, {
      hint: 'set PORTCULLIS_UPLOAD_MIB higher where the server runs, or import on the database itself',
      details: { maxBytes: this.maxBytes },
    });
  }
}

/** Reads what comes behind a refusal, so that whoever sends it reads the refusal; but not for ever. */
function throwAwayRest(request: Request): void {
  if (request.complete) return;
  request.resume();
  const limit = setTimeout(() => request.destroy(), REST_MS);
  request.once('close', () => clearTimeout(limit));
}

async function write(
  response: Response,
  { bytes, chunks }: Pick<Archive, 'bytes' | 'chunks'>,
): Promise<void> {
  response.set('content-type', ARCHIVE_TYPE).set('content-length', String(bytes));
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  response.setTimeout(STALLED_MS, () => response.destroy());
  await pipeline(Readable.from(chunks, { objectMode: false }), response);
}

function full(what: 'uploads' | 'downloads'): PortcullisError {
  return new PortcullisError('TRANSFERS_FULL', `${AT_ONCE} ${what} are under way in this process`, {
    hint: 'repeat the call when one of them is over',
  });
}
