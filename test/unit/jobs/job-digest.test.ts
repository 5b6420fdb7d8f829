import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { digestOf } from '../../../src/jobs/job-digest.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'digest-'));
  await mkdir(join(folder, 'inner'));
  await writeFile(join(folder, 'job.js'), 'export const version = 1;');
  await writeFile(join(folder, 'inner', 'rule.js'), 'export const rule = 1;');
});
afterEach(() => rm(folder, { recursive: true }));

const digest = (): Promise<string> => digestOf(pathToFileURL(`${folder}/`));

describe('the digest of a job’s code', () => {
  test('is the same for the same code', async () => {
    expect(await digest()).toMatch(/^[0-9a-f]{8}$/);
    expect(await digest()).toBe(await digest());
  });

  test.each([
    ['a file changes', 'job.js', 'export const version = 2;'],
    ['a file further down changes', 'inner/rule.js', 'export const rule = 2;'],
    ['a file is added', 'another.js', ''],
    ['data changes', 'list.json', '[]'],
  ])('is another when %s', async (_, file, text) => {
    const before = await digest();
    await writeFile(join(folder, file), text);
    expect(await digest()).not.toBe(before);
  });

  test('does not depend on maps and declarations', async () => {
    const before = await digest();
    await writeFile(join(folder, 'job.js.map'), '{}');
    await writeFile(join(folder, 'job.d.ts'), 'export declare const version = 1;');
    expect(await digest()).toBe(before);
  });

  test('tells a text that moves from one file to another', async () => {
    await writeFile(join(folder, 'a.js'), 'xy');
    await writeFile(join(folder, 'b.js'), '');
    const before = await digest();
    await writeFile(join(folder, 'a.js'), 'x');
    await writeFile(join(folder, 'b.js'), 'y');
    expect(await digest()).not.toBe(before);
  });
});
