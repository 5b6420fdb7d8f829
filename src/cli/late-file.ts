import { open, rm, writeFile } from 'node:fs/promises';
import { fileError } from '../postgres/file-error.js';

/** A file that long work ends with, made sure of before the work begins. */
export interface LateFile {
  readonly path: string;
  write(text: string): Promise<void>;
  /** Where nothing was written, a file that was made for this goes. */
  end(): Promise<void>;
}

/** Throws FILE_UNWRITABLE where the file cannot be written, now and not after minutes. */
export async function lateFile(path: string): Promise<LateFile> {
  const made = await unlessUnwritable(() => makeOrReach(path));
  let written = false;
  return {
    path,
    write: async (text) => {
      await unlessUnwritable(() => writeFile(path, text));
      written = true;
    },
    end: async () => {
      if (made && !written) await rm(path, { force: true });
    },
  };
}

/** Whether it had to be made. */
async function makeOrReach(path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx')).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    await (await open(path, 'a')).close();
    return false;
  }
}

async function unlessUnwritable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(
      'FILE_UNWRITABLE',
      error,
      'name a file in a folder that is there and that you may write to',
    );
  }
}
