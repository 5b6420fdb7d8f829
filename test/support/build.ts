import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from './portcullis.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const JOB = 'dist/jobs/domain-claim';

/** A line of a job's program as it is, and as it is to be. */
export interface Edit {
  /** In the job's folder: `job.js`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/**
 * Another build of the whole program, of which only the job domain-claim differs, by the edits given: so it has
 * another version, and another digest. Answers its program, for `portcullis(…, { main })`. Throws where an edit
 * finds nothing.
 */
export async function buildWith(edits: readonly Edit[]): Promise<string> {
  const folder = await temporaryFolder();
  await cp(join(ROOT, 'dist'), join(folder, 'dist'), { recursive: true });
  for (const beside of ['package.json', 'node_modules', 'src', 'flags']) {
    await symlink(join(ROOT, beside), join(folder, beside));
  }
  for (const { file, from, to } of edits) {
    const path = join(folder, JOB, file);
    const text = await readFile(path, 'utf8');
    if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
    await writeFile(path, text.replace(from, to));
  }
  return join(folder, 'dist/main.js');
}
