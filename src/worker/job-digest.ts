import { createHash } from 'node:crypto';
import { readJobCode } from './job-code.js';

/**
 * The digest of all that a job consists of: see {@link readJobCode}. A changed digest is a new version, whatever number
 * the job gives itself. The same code has the same digest wherever it is installed. Throws JOB_INVALID.
 */
export async function digestOf(folder: URL): Promise<string> {
  const { files, packages } = await readJobCode(folder);
  const hash = createHash('sha256');
  for (const [name, content] of [...files].sort(([one], [other]) => (one < other ? -1 : 1))) {
    hash.update(`file ${name}\0${content.length}\0`).update(content);
  }
  for (const each of [...packages].sort()) hash.update(`package ${each}\0`);
  return hash.digest('hex').slice(0, 8);
}
