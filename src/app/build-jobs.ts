import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { transform } from 'esbuild';
import type { BuiltJobs } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { PortcullisError } from '../kernel/errors.js';
import { ownModules, readJobCode } from '../worker/job-code.js';
import { digestOf } from '../worker/job-digest.js';
import { versionOf } from '../worker/registry.js';
import { BUILD_RECORD, type BuildRecord } from './build-record.js';
import { loadConfigFile, type ConfigFile } from './config-file.js';

const TYPESCRIPT = /\.([cm]?)ts$/;

/**
 * Writes the configuration file and its jobs as JavaScript, each file by itself, with a record of the code that they
 * were built from: what was built has the version of the TypeScript. Throws CONFIG_INVALID, JOB_INVALID, and
 * FILE_UNWRITABLE where the folder holds what no build wrote.
 */
export async function buildJobs(config: Config, given: string | undefined, out: string): Promise<BuiltJobs> {
  const path = given ?? config.configFile;
  if (path === undefined) {
    throw new PortcullisError('CONFIG_INVALID', 'there is no portcullis.config.ts in this folder', {
      hint: 'portcullis init writes one; or name the file with --config',
    });
  }
  const source = await loadConfigFile(path, config.buildId, null);
  const root = dirname(source.file);
  const folder = resolve(out);
  const files = await filesOf(source, root);
  await clear(folder, root);
  for (const file of files) await emit(file, join(folder, relative(root, file)));
  const record: BuildRecord = { jobs: {} };
  for (const job of source.jobs) {
    const built = pathToFileURL(join(folder, relative(root, fileURLToPath(job.folder)), sep));
    record.jobs[job.definition.name] = { digest: await digestOf(job.folder), built: await digestOf(built) };
  }
  await writeFile(join(folder, BUILD_RECORD), `${JSON.stringify(record, null, 2)}\n`);
  const file = join(folder, basename(source.file).replace(TYPESCRIPT, '.$1js'));
  // It loads, and each job is the version that it was.
  const output = await loadConfigFile(file, config.buildId, null);
  const jobs = await Promise.all(
    output.jobs.map(async (job) => ({ job: job.definition.name, version: await versionOf(job) })),
  );
  return { file, files: files.length, jobs };
}

/** Every file that the jobs consist of, and the configuration. Throws JOB_INVALID for one outside its folder. */
async function filesOf({ file, jobs }: ConfigFile, root: string): Promise<readonly string[]> {
  const files = new Set((await ownModules(file)).keys());
  for (const { folder } of jobs) {
    const home = fileURLToPath(folder);
    // A linked package's files go by the package's name: it stays a package.
    for (const name of (await readJobCode(folder)).files.keys()) {
      const path = join(home, name);
      if (!name.startsWith('..') && !(await isThere(path))) continue;
      files.add(path);
    }
  }
  const outside = [...files].find((each) => !each.startsWith(`${root}${sep}`));
  if (outside === undefined) return [...files].sort();
  throw new PortcullisError('JOB_INVALID', `${outside} is imported, and is outside of ${root}`, {
    hint: 'put the configuration file into a folder that has all of the code, or make a package of what is outside',
    details: { file: outside },
  });
}

async function isThere(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    () => false,
  );
}

/** Empties the folder of an earlier build. Throws FILE_UNWRITABLE for any other that is not empty. */
async function clear(folder: string, root: string): Promise<void> {
  const names: readonly string[] = await readdir(folder).catch(() => []);
  if (folder === root || (names.length > 0 && !names.includes(BUILD_RECORD))) {
    throw new PortcullisError('FILE_UNWRITABLE', `${folder} holds files that no build wrote`, {
      hint: 'name another folder with --out, or remove this one',
      details: { folder },
    });
  }
  await rm(folder, { recursive: true, force: true });
}

async function emit(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  if (!TYPESCRIPT.test(from)) {
    await copyFile(from, to);
    return;
  }
  const file = to.replace(TYPESCRIPT, '.$1js');
  const { code, map } = await transform(await readFile(from, 'utf8'), {
    ...{ loader: 'ts', format: 'esm', target: 'node20', sourcemap: 'external', sourcesContent: false },
    sourcefile: relative(dirname(to), from),
  });
  await writeFile(file, `${code}//# sourceMappingURL=${basename(file)}.map\n`);
  await writeFile(`${file}.map`, map);
}
