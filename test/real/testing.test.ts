import { cp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { installPacked } from '../support/packed.js';
import { temporaryFolder } from '../support/portcullis.js';
import { runProgram, type Said } from '../support/program.js';
import { until } from '../support/until.js';

/** The tests of another team's package, from the packed package and with its own PostgreSQL. */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PATIENCE_MS = 600_000;

const project = await temporaryFolder();
const temporary = await temporaryFolder();

const npmTest = (): Promise<Said> =>
  runProgram('npm', ['test', '--silent'], {
    cwd: project,
    env: { PATH: process.env['PATH'] ?? '', HOME: project, TMPDIR: temporary, PORTCULLIS_TEST_SERVER: '' },
  });

/** The process of the server that the tests share; undefined where none runs. */
async function serverProcess(): Promise<number | undefined> {
  for (const name of await readdir(temporary, { recursive: true })) {
    if (!name.endsWith('postmaster.pid')) continue;
    const text = await readFile(join(temporary, name), 'utf8').catch(() => '');
    if (text !== '') return Number(text.split('\n')[0]);
  }
  return undefined;
}

beforeAll(async () => {
  await cp(join(ROOT, 'examples/dormant-cleanup'), project, { recursive: true });
  await installPacked(project);
}, PATIENCE_MS);

describe('the test kit', () => {
  test(
    'runs a package’s tests under node:test, two processes on one server that ends after them',
    async () => {
      const both = await Promise.all([npmTest(), npmTest()]);
      for (const said of both) {
        expect(said.stdout + said.stderr).toMatch(/^# pass 4$/m);
        expect(said).toMatchObject({ exit: 0 });
      }
      await until('the server has ended', async () => (await serverProcess()) === undefined, PATIENCE_MS);
      // The next run finds none, and starts it again.
      expect(await npmTest()).toMatchObject({ exit: 0 });
      await until('the server has ended', async () => (await serverProcess()) === undefined, PATIENCE_MS);
    },
    PATIENCE_MS,
  );
});
