import { cp, mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { readJobCode } from '../../../src/worker/job-code.js';
import { digestOf } from '../../../src/worker/job-digest.js';
import { versionOf } from '../../../src/worker/registry.js';
import { domainClaim } from '../../../src/jobs/domain-claim/job.js';

/** A project with one job, a helper of its own outside the job's folder, and packages. */
const PROJECT: Readonly<Record<string, string>> = {
  'package.json': '{"name": "team", "type": "module", "imports": {"#rules/*": "./rules/*"}}',
  'jobs/clean/job.js':
    "import { parse } from 'parser';\nimport { rule } from './inner/rule.js';\nexport const version = 1;",
  'jobs/clean/inner/rule.js': "import { trim } from '../../../lib/trim.js';\nexport const rule = trim;",
  'jobs/clean/list.csv': 'a,b',
  'lib/trim.js': "export * from './deeper.js';\nexport const trim = 1;",
  'lib/deeper.js': 'export const deeper = 1;',
  'lib/unused.js': 'export const unused = 1;',
  'rules/extra.js': 'export const extra = 1;',
  'node_modules/parser/package.json': '{"version": "1.0.0", "dependencies": {"lexer": "^1.0.0"}}',
  'node_modules/parser/index.js': 'export const parse = 1;',
  'node_modules/lexer/package.json': '{"version": "1.1.0"}',
  'node_modules/other/package.json': '{"version": "1.0.0"}',
};

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'digest-'));
  for (const [file, text] of Object.entries(PROJECT)) await write(file, text);
});
afterEach(() => rm(root, { recursive: true }));

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, file)), { recursive: true });
  await writeFile(join(root, file), text);
}

const JOB = 'jobs/clean';
const folderOf = (project: string): URL => pathToFileURL(join(project, JOB, '/'));
const digest = (project = root): Promise<string> => digestOf(folderOf(project));

describe('the digest of a job’s code', () => {
  test('is the same for the same code, wherever it is installed', async () => {
    const before = await digest();
    expect(before).toMatch(/^[0-9a-f]{8}$/);
    const elsewhere = join(root, 'a/place/of its own');
    await cp(join(root, 'jobs'), join(elsewhere, 'jobs'), { recursive: true });
    await cp(join(root, 'lib'), join(elsewhere, 'lib'), { recursive: true });
    // Packages further up, as a workspace has them.
    expect(await digest(elsewhere)).toBe(before);
  });

  test.each([
    ['a file changes', `${JOB}/job.js`, "import { rule } from './inner/rule.js';"],
    ['a file further down changes', `${JOB}/inner/rule.js`, 'export const rule = 2;'],
    ['a file is added', `${JOB}/another.js`, ''],
    ['a file of any kind is added', `${JOB}/model.bin`, ''],
    ['data changes', `${JOB}/list.csv`, 'a,c'],
    ['a helper outside the folder changes', 'lib/trim.js', 'export const trim = 2;'],
    ['what a helper imports changes', 'lib/deeper.js', 'export const deeper = 2;'],
    ['a package has another version', 'node_modules/parser/package.json', '{"version": "1.0.1"}'],
    [
      'what a package depends on has another version',
      'node_modules/lexer/package.json',
      '{"version": "1.2.0"}',
    ],
    [
      'another of the same package is nearer',
      'jobs/node_modules/parser/package.json',
      '{"version": "1.0.1"}',
    ],
  ])('is another when %s', async (_, file, text) => {
    const before = await digest();
    await write(file, text);
    expect(await digest()).not.toBe(before);
  });

  test.each([
    ['maps', `${JOB}/job.js.map`, '{}'],
    ['declarations', `${JOB}/job.d.ts`, 'export declare const version = 1;'],
    ['what an editor or a system leaves', `${JOB}/.DS_Store`, 'x'],
    ['code that nothing of it imports', 'lib/unused.js', 'export const unused = 2;'],
    ['packages that nothing of it imports', 'node_modules/other/package.json', '{"version": "2.0.0"}'],
  ])('does not depend on %s', async (_, file, text) => {
    const before = await digest();
    await write(file, text);
    expect(await digest()).toBe(before);
  });

  test('is the same whatever release of Portcullis runs the job', async () => {
    await write('node_modules/portcullis/package.json', '{"name": "portcullis", "version": "0.1.0"}');
    await write(`${JOB}/job.js`, "import { defineJob } from 'portcullis';\nexport const job = defineJob;");
    const before = await digest();
    await write(
      'node_modules/portcullis/package.json',
      '{"name": "portcullis", "version": "0.2.0", "dependencies": {"lexer": "^1.0.0"}}',
    );
    expect(await digest()).toBe(before);
    await rm(join(root, 'node_modules/portcullis'), { recursive: true });
    await write('elsewhere/portcullis/package.json', '{"name": "portcullis", "version": "0.2.0"}');
    await write('elsewhere/portcullis/dist/index.js', 'export const defineJob = 1;');
    await symlink(join(root, 'elsewhere/portcullis'), join(root, 'node_modules/portcullis'));
    expect(await digest()).toBe(before);
  });

  test('tells a text that moves from one file to another', async () => {
    await write(`${JOB}/a.txt`, 'xy');
    await write(`${JOB}/b.txt`, '');
    const before = await digest();
    await write(`${JOB}/a.txt`, 'x');
    await write(`${JOB}/b.txt`, 'y');
    expect(await digest()).not.toBe(before);
  });

  test('follows literal import() and the project’s own #names, and no import of types alone', async () => {
    await write(`${JOB}/late.js`, "export const late = () => import('../../rules/late.js');");
    await write('rules/late.js', "import '#rules/extra.js';");
    await write(
      `${JOB}/typed.ts`,
      "import type { X } from '../../nowhere.js';\nexport const typed = <T>(x: T): T => x;",
    );
    const { files } = await readJobCode(folderOf(root));
    expect([...files.keys()]).toEqual(
      expect.arrayContaining(['../../rules/late.js', '../../rules/extra.js']),
    );
  });

  test('has the code of a package that is linked into the project: its version says nothing', async () => {
    await write('packages/shared/package.json', '{"name": "shared", "version": "0.0.0"}');
    await write('packages/shared/index.js', 'export const shared = 1;');
    await symlink(join(root, 'packages/shared'), join(root, 'node_modules/shared'));
    await write(`${JOB}/job.js`, "import { shared } from 'shared';");
    const before = await digest();
    await write('packages/shared/index.js', 'export const shared = 2;');
    expect(await digest()).not.toBe(before);
  });

  test.each([
    ['imports a module that is not there', "import './gone.js';", 'imports ./gone.js, which is not there'],
    ['imports a package that is not installed', "import 'gone';", 'imports gone, which is not installed'],
    ['imports by a computed name', 'await import(name);', 'imports a module whose name is computed'],
    [
      'imports by a name with a gap',
      'await import(`./${name}.js`);',
      'imports a module whose name is computed',
    ],
    ['is CommonJS', "const x = require('./x');", 'is CommonJS and calls require()'],
    ['is no program', 'import {', 'cannot be read as a program'],
  ])('is refused where a file %s', async (_, text, said) => {
    await write(`${JOB}/bad.js`, text);
    await expect(digest()).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringContaining(`bad.js ${said}`),
      hint: expect.stringContaining('PORTCULLIS_BUILD_ID'),
    });
  });
});

describe('a job’s full version', () => {
  const named = (version: string, build?: string): Promise<string> =>
    versionOf({ definition: { ...domainClaim, version }, folder: folderOf(root), build });

  test('is its number and the digest, or the ID of the build', async () => {
    expect(await named('1.0.0')).toBe(`1.0.0_${await digest()}`);
    await write(`${JOB}/bad.js`, 'await import(name);');
    expect(await named('1.0.0-rc.1', 'v1.2-45-g9f3c2a1b')).toBe('1.0.0-rc.1_v1.2-45-g9f3c2a1b');
  });

  test.each([
    ['1.0.0+7', 'contains build metadata (+)'],
    ['1.0.0_7', 'is not a semantic version'],
    ['1.0', 'is not a semantic version'],
  ])('is refused for %s', async (version, said) => {
    await expect(named(version)).rejects.toMatchObject({
      code: 'JOB_INVALID',
      message: expect.stringContaining(`${version} ${said}`),
    });
  });

  test('of the shipped job consists of its folder and its packages, and of nothing of the platform', async () => {
    const { files, packages } = await readJobCode(
      new URL('../../../src/jobs/domain-claim/', import.meta.url),
    );
    expect([...files.keys()].filter((file) => file.startsWith('..'))).toEqual([]);
    expect([...packages].map((each) => each.replace(/@[^@]+$/, '')).toSorted()).toEqual([
      ...['email-providers', 'tldts', 'tldts-core'],
    ]);
  });
});
