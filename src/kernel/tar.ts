import { PortcullisError } from './errors.js';

/** A file on its way into an archive. */
export interface TarFile {
  readonly name: string;
  /** How many bytes `chunks` come to. */
  readonly bytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
}

const BLOCK = 512;
/** Twelve octal digits, one of them a NUL: a larger size is written in base 256. */
const OCTAL_BYTES = 8 ** 11;
const NAME_BYTES = 100;
const KINDS = { file: '0', oldFile: '\0', folder: '5', extended: 'x', extendedAll: 'g' } as const;

/** The files as an archive that every `tar` reads (ustar): the same bytes each time, readable by their owner alone. */
export async function* tarOf(
  files: Iterable<TarFile> | AsyncIterable<TarFile>,
): AsyncGenerator<Uint8Array, void> {
  for await (const { name, bytes, chunks } of files) {
    yield headerOf(name, bytes);
    let written = 0;
    for await (const chunk of chunks) {
      written += chunk.length;
      yield chunk;
    }
    if (written !== bytes) throw new Error(`${name} has ${written} bytes and was to have ${bytes}`);
    // Never an empty chunk: Node.js' fetch waits for ever behind one.
    if (padding(bytes) > 0) yield Buffer.alloc(padding(bytes));
  }
  yield Buffer.alloc(2 * BLOCK);
}

/** How many bytes {@link tarOf} makes of files of these sizes. */
export function tarBytes(files: readonly Pick<TarFile, 'bytes'>[]): number {
  return files.reduce((sum, { bytes }) => sum + BLOCK + bytes + padding(bytes), 2 * BLOCK);
}

/**
 * The files of an archive, one after the other: each is read to its end before the next comes. Folders and the
 * attributes that some programs add are passed over. Throws REQUEST_INVALID for what is no archive.
 */
export async function* readTar(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<TarFile, void> {
  const bytes = new ByteReader(chunks);
  try {
    for (;;) {
      const header = await bytes.exactly(BLOCK);
      if (header === undefined) throw noArchive('it ends without an end mark: is it whole?');
      if (header.every((byte) => byte === 0)) break;
      const { name, size, kind } = readHeader(header);
      const file: TarFile = { name, bytes: size, chunks: bytes.next(size) };
      if (kind === KINDS.file || kind === KINDS.oldFile) yield file;
      else if (kind !== KINDS.folder && kind !== KINDS.extended && kind !== KINDS.extendedAll)
        throw noArchive(`${JSON.stringify(name)} is no regular file`);
      await bytes.skip(file.chunks);
      await bytes.exactly(padding(size));
    }
    await bytes.drain();
  } finally {
    await bytes.end();
  }
}

const padding = (bytes: number): number => (BLOCK - (bytes % BLOCK)) % BLOCK;

function headerOf(name: string, bytes: number): Buffer {
  if (Buffer.byteLength(name) > NAME_BYTES) throw new Error(`${name} is too long a name for an archive`);
  const header = Buffer.alloc(BLOCK);
  header.write(name, 0);
  header.write('0000600\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  if (bytes < OCTAL_BYTES) header.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124);
  else {
    header.writeUInt8(0x80, 124);
    header.writeBigUInt64BE(BigInt(bytes), 128);
  }
  header.write('00000000000\0', 136);
  header.write(' '.repeat(8), 148);
  header.write(KINDS.file, 156);
  header.write('ustar\0' + '00', 257);
  header.write(`${checksum(header).toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

function readHeader(header: Buffer): { name: string; size: number; kind: string } {
  const textAt = (from: number, length: number): string =>
    header.toString('utf8', from, from + length).replace(/\0[^]*$/, '');
  const said = Number.parseInt(textAt(148, 8).trim(), 8);
  const sum = checksum(Buffer.concat([header.subarray(0, 148), Buffer.alloc(8, ' '), header.subarray(156)]));
  if (said !== sum) throw noArchive('a header has a wrong checksum');
  const size =
    ((header[124] ?? 0) & 0x80) === 0
      ? Number.parseInt(textAt(124, 12).trim() || '0', 8)
      : Number(header.readBigUInt64BE(128));
  if (!Number.isSafeInteger(size)) throw noArchive('a header has a size that is no number');
  return { name: textAt(0, NAME_BYTES), size, kind: String.fromCharCode(header[156] ?? 0) };
}

const checksum = (header: Buffer): number => header.reduce((sum, byte) => sum + byte, 0);

function noArchive(why: string): PortcullisError {
  return new PortcullisError('REQUEST_INVALID', `this is no tar archive: ${why}`, {
    hint: 'send one such as tar makes of regular files: tar -cf - one.csv other.csv',
  });
}

/** Bytes that come in chunks of any length, taken in the lengths that are asked for. */
class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** So many bytes; undefined where there are none any more. */
  async exactly(count: number): Promise<Buffer | undefined> {
    const parts: Uint8Array[] = [];
    let missing = count;
    while (missing > 0) {
      const part = await this.#atMost(missing);
      if (part === undefined) {
        if (missing === count) return undefined;
        throw noArchive('it is cut off');
      }
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** The next so many bytes, as they come. */
  async *next(count: number): AsyncGenerator<Uint8Array, void> {
    let missing = count;
    while (missing > 0) {
      const part = await this.#atMost(missing);
      if (part === undefined) throw noArchive('it is cut off');
      missing -= part.length;
      yield part;
    }
  }

  /** What the reader of a file left of it. */
  async skip(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const rest = chunks[Symbol.asyncIterator]();
    while ((await rest.next()).done !== true);
  }

  async drain(): Promise<void> {
    while ((await this.#atMost(Number.MAX_SAFE_INTEGER)) !== undefined);
  }

  async end(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #atMost(count: number): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#rest = next.value;
    }
    const part = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }
}
