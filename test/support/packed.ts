import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runProgram } from './program.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Installs the package as `npm pack` makes it of this build into a folder's node_modules. What it depends on is what
 * is installed here: no registry is asked.
 */
export async function installPacked(folder: string): Promise<void> {
  const packed = await runProgram('npm', [
    'pack',
    '--ignore-scripts',
    '--json',
    '--pack-destination',
    folder,
  ]);
  if (packed.exit !== 0) throw new Error(packed.stderr);
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
  const home = join(folder, 'node_modules/portcullis');
  await mkdir(home, { recursive: true });
  const unpacked = await runProgram('tar', [
    ...['-xzf', join(folder, filename), '-C', home],
    '--strip-components=1',
  ]);
  if (unpacked.exit !== 0) throw new Error(unpacked.stderr);
  await symlink(join(ROOT, 'node_modules'), join(home, 'node_modules'));
  // What a project in TypeScript has besides.
  await symlink(join(ROOT, 'node_modules/@types'), join(folder, 'node_modules/@types'));
}
