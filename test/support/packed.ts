import { copyFile, mkdir, readdir, rename, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from './portcullis.js';
import { runProgram } from './program.js';
import { until } from './until.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Installs the package as `npm pack` makes it of this build into a folder's node_modules, and leaves its archive in the
 * folder. What it depends on is what is installed here: no registry is asked.
 */
export async function installPacked(folder: string): Promise<void> {
  const archive = await packedOnce();
  await copyFile(archive, join(folder, basename(archive)));
  const home = join(folder, 'node_modules/portcullis');
  await mkdir(home, { recursive: true });
  await run('tar', '-xzf', archive, '-C', home, '--strip-components=1');
  await symlink(join(ROOT, 'node_modules'), join(home, 'node_modules'));
  // What a project in TypeScript has besides.
  await symlink(join(ROOT, 'node_modules/@types'), join(folder, 'node_modules/@types'));
}

/** The package's archive. The first file of a test run that asks has it made, and the others wait: it takes seconds. */
async function packedOnce(): Promise<string> {
  // There is none where the database server is somebody else's.
  const shared = process.env['JEST_SHARED_FOLDER'] ?? (await temporaryFolder());
  const making = join(shared, 'packing');
  const isFirst = await mkdir(making).then(
    () => true,
    () => false,
  );
  if (isFirst) {
    try {
      await run('npm', 'pack', '--ignore-scripts', '--pack-destination', making);
      const [name = ''] = await readdir(making);
      // In one step: whoever finds the archive finds all of it.
      await rename(join(making, name), join(shared, name));
    } catch (error) {
      await rm(making, { recursive: true, force: true });
      throw error;
    }
  }
  const name = await until('the package is packed', async () =>
    (await readdir(shared)).find((each) => each.endsWith('.tgz')),
  );
  return join(shared, name);
}

async function run(program: string, ...args: readonly string[]): Promise<void> {
  const { exit, stdout, stderr } = await runProgram(program, args);
  if (exit !== 0) throw new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}`);
}
