import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

/**
 * The digest of a job's code: of every program file in its folder, by name and content. A changed digest is
 * a new version, whatever number the job gives itself. Maps and declarations are left out: they don't run.
 */
export async function digestOf(folder: URL): Promise<string> {
  const files = (await readdir(folder, { recursive: true }))
    .filter((file) => /\.(js|ts|json|sql|txt)$/.test(file) && !file.endsWith('.d.ts'))
    .sort();
  const hash = createHash('sha256');
  for (const file of files) {
    const content = await readFile(new URL(file, folder));
    hash.update(`${file.replace(/\.(js|ts)$/, '')}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex').slice(0, 8);
}
