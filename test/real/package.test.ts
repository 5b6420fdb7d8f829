import { beforeAll, describe, expect, test } from '@jest/globals';
import { installPacked } from '../support/packed.js';
import { temporaryFolder } from '../support/portcullis.js';
import { runProgram } from '../support/program.js';

/** The package as another team has it: from the tarball, in a folder of its own. */
const folder = await temporaryFolder({ 'package.json': '{"type": "module"}' });
beforeAll(() => installPacked(folder));

const importing = (what: string) =>
  runProgram(
    process.execPath,
    ['--input-type=module', '-e', `console.log(Object.keys(await import('${what}')).sort().join())`],
    { cwd: folder },
  );

describe('the package', () => {
  test('exports what a job and its configuration need', async () => {
    expect(await importing('portcullis')).toEqual({
      exit: 0,
      stdout: 'defineConfig,defineJob,env,table\n',
      stderr: '',
    });
  });

  test('exports what tests of a job need', async () => {
    expect(await importing('portcullis/testing')).toEqual({ exit: 0, stdout: 'testJob\n', stderr: '' });
    expect(await importing('portcullis/typescript')).toEqual({ exit: 0, stdout: '\n', stderr: '' });
  });

  test.each(['portcullis/dist/kernel/errors.js', 'portcullis/dist/sdk/index.js', 'portcullis/package.json'])(
    'lets nobody reach %s',
    async (inside) => {
      const { exit, stderr } = await importing(inside);
      expect(exit).not.toBe(0);
      expect(stderr).toContain('ERR_PACKAGE_PATH_NOT_EXPORTED');
    },
  );
});
