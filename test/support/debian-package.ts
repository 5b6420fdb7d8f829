import { execFile } from 'node:child_process';
import { access, constants, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Debian keeps servers where an ordinary user's PATH does not look. */
const FOLDERS = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
const POSTGRES = '/usr/lib/postgresql';

/**
 * The path of a program that a test needs from outside npm. Where it is missing and we are root, its Debian
 * package is installed; otherwise the error says what to install. A missing program never skips a test: a
 * test that did not run is not a test that passed.
 */
export function requireProgram(program: string, debianPackage: string): Promise<string> {
  return findOrInstall(program, debianPackage, () => Promise.resolve(FOLDERS));
}

/** The same for a program of PostgreSQL's own: Debian keeps them out of every PATH, by major version. The newest. */
export function requirePostgresProgram(program: string): Promise<string> {
  return findOrInstall(program, 'postgresql', async () => {
    const versions = await readdir(POSTGRES).catch(() => []);
    versions.sort((one, other) => Number(other) - Number(one));
    return versions.map((version) => join(POSTGRES, version, 'bin'));
  });
}

async function findOrInstall(
  program: string,
  debianPackage: string,
  folders: () => Promise<readonly string[]>,
): Promise<string> {
  const found = await findProgram(program, await folders());
  if (found !== undefined) return found;
  const advice = `${program} is missing: as root, run apt-get install ${debianPackage}`;
  if (process.getuid?.() !== 0) throw new Error(advice);
  try {
    await install(debianPackage);
  } catch (error) {
    throw new Error(`${advice} (tried it, and it failed)`, { cause: error });
  }
  const installed = await findProgram(program, await folders());
  if (installed === undefined) throw new Error(`the package ${debianPackage} has no program ${program}`);
  return installed;
}

async function findProgram(program: string, folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    const path = join(folder, program);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

/** Waits for a lock that another test file's installation holds. The services in packages are not started. */
async function install(debianPackage: string): Promise<void> {
  const options = {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    timeout: 180_000,
    maxBuffer: 16 * 1024 * 1024,
  };
  const install = ['install', '-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120'];
  try {
    await run('apt-get', [...install, debianPackage], options);
  } catch {
    // The list of packages is missing or old.
    await run('apt-get', ['update', '-q'], options);
    await run('apt-get', [...install, debianPackage], options);
  }
}
