import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileName } from '../../src/jobs/directory/columns.js';

export interface Folder {
  readonly path: string;
  /** Writes files of these contents and answers their paths, by name. */
  write(contents: Partial<Record<FileName, string | Buffer>>): Promise<Partial<Record<FileName, string>>>;
  remove(): Promise<void>;
}

/** A temporary folder for a directory's CSV files. */
export async function csvFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'portcullis-csv-'));
  return {
    path,
    async write(contents) {
      const paths: Partial<Record<FileName, string>> = {};
      for (const [name, content] of Object.entries(contents) as [FileName, string | Buffer][]) {
        paths[name] = join(path, `${name}.csv`);
        await writeFile(paths[name], content);
      }
      return paths;
    },
    remove: () => rm(path, { recursive: true, force: true }),
  };
}
