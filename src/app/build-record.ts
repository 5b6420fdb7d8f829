import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { digestOf } from '../worker/job-digest.js';

/** Stands beside the configuration file that `portcullis build` wrote. */
export const BUILD_RECORD = 'portcullis.build.json';

/** What a build says of its jobs: the digest of the code that each was built from, and of what was built. */
export const buildRecord = z.strictObject({
  jobs: z.record(z.string(), z.strictObject({ digest: z.string(), built: z.string() })),
});
export type BuildRecord = z.infer<typeof buildRecord>;

/** The record of the build that a configuration file is part of; undefined where it is none. */
export async function readBuildRecord(configFile: string): Promise<BuildRecord | undefined> {
  const text = await readFile(join(dirname(configFile), BUILD_RECORD), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return buildRecord.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/**
 * The digest of the code that a built job was made from, so that it is the same version. Undefined where what was built
 * has been changed since, or other packages are installed: then its own digest counts, as for any other code.
 */
export async function digestBuiltFrom(
  record: BuildRecord | undefined,
  job: string,
  folder: URL,
): Promise<string | undefined> {
  const said = record?.jobs[job];
  if (said === undefined) return undefined;
  return (await digestOf(folder)) === said.built ? said.digest : undefined;
}
