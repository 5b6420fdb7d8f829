import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { readTar, tarBytes, tarOf, type TarFile } from '../../../src/kernel/tar.js';
import { temporaryFolder } from '../../support/portcullis.js';

const run = promisify(execFile);

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

async function gather(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

const fileOf = (name: string, content: Buffer): TarFile => ({
  ...{ name, bytes: content.length, chunks: chunksOf(content, 100) },
});
const CONTENTS = {
  'empty.csv': Buffer.alloc(0),
  'block.csv': Buffer.alloc(512, 'x'),
  'odd.csv': Buffer.from('id,näme\n1,x\n'.repeat(321)),
};
const files = () => Object.entries(CONTENTS).map(([name, content]) => fileOf(name, content));

async function contentsIn(archive: AsyncIterable<Uint8Array>): Promise<Record<string, Buffer>> {
  const found: Record<string, Buffer> = {};
  for await (const { name, chunks } of readTar(archive)) found[name] = await gather(chunks);
  return found;
}

describe('an archive', () => {
  test.each([1, 511, 512, 513, 1_000_000])('is read as it was written, in chunks of %d', async (size) => {
    const bytes = await gather(tarOf(files()));
    expect(bytes.length).toBe(tarBytes(files()));
    expect(await contentsIn(chunksOf(bytes, size))).toEqual(CONTENTS);
  });

  test('is what the program tar reads, and writes', async () => {
    const folder = await temporaryFolder();
    const archive = join(folder, 'a.tar');
    await writeFile(archive, await gather(tarOf(files())));
    await run('tar', ['-xf', archive, '-C', folder]);
    for (const [name, content] of Object.entries(CONTENTS))
      expect([name, await readFile(join(folder, name))]).toEqual([name, content]);
    const theirs = join(folder, 'b.tar');
    for (const format of ['ustar', 'gnu', 'pax']) {
      await run('tar', ['-cf', theirs, `--format=${format}`, '-C', folder, ...Object.keys(CONTENTS)]);
      expect([format, await contentsIn(createReadStream(theirs))]).toEqual([format, CONTENTS]);
    }
  });

  test('has no empty chunk', async () => {
    for await (const chunk of tarOf(files())) expect(chunk.length).toBeGreaterThan(0);
  });

  test('passes over what its reader leaves of a file', async () => {
    const names: string[] = [];
    for await (const { name } of readTar(tarOf(files()))) names.push(name);
    expect(names).toEqual(Object.keys(CONTENTS));
  });

  test('that is cut off, or is none, is refused', async () => {
    const whole = await gather(tarOf(files()));
    const broken = Buffer.from(whole);
    broken.write('y', 0);
    for (const bytes of [
      whole.subarray(0, 700),
      whole.subarray(0, whole.length - 1024),
      broken,
      Buffer.from('id,name\n'),
    ])
      await expect(contentsIn(chunksOf(bytes, 64))).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  test('has files beyond eight gigabytes', async () => {
    const huge = { name: 'huge.csv', bytes: 8 ** 11 + 5, chunks: chunksOf(Buffer.alloc(0), 1) };
    const header = (await tarOf([huge]).next()).value as Uint8Array;
    const { value } = await readTar(chunksOf(header, 512)).next();
    expect(value).toMatchObject({ name: 'huge.csv', bytes: 8 ** 11 + 5 });
  });
});
