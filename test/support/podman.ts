import { access, chmod, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from '@jest/globals';
import { requireProgram } from './debian-package.js';
import { runProgram, type Said } from './program.js';

/** Podman with images and containers of this test file's own; all of them are gone when its tests are over. */
export interface Podman {
  /** Answers what it printed; throws what it complained of where it failed. */
  (...args: readonly string[]): Promise<string>;
  /** For commands whose failure is an answer. */
  said(...args: readonly string[]): Promise<Said>;
  /**
   * Builds a folder's Dockerfile. The image that it begins with cannot be fetched everywhere: another stands
   * for it that has the users and folders of Docker's `node`, and mounts for programs.
   */
  build(folder: string, tag: string, options?: readonly string[]): Promise<void>;
  /** This machine's programs, Node.js and npm among them: options for whatever runs what was built. */
  readonly mounts: readonly string[];
}

/** Where Node.js is in a container, wherever it is installed here. */
const NODE = '/opt/node';
const PATHS = `${NODE}/bin:/usr/local/bin:/usr/bin:/bin`;

/** Call it once, at the test file's top level: `const podman = await startPodman();` */
export async function startPodman(): Promise<Podman> {
  // Podman would be as content with crun, which is not content with every kernel's cgroups.
  const runtime = await requireProgram('runc', 'runc');
  const program = await requireProgram('podman', 'podman');
  // Without root's rights, Podman needs it to have users of its own in a container.
  if (process.getuid?.() !== 0) await requireProgram('newuidmap', 'uidmap');
  const own = await mkdtemp(join(tmpdir(), 'portcullis-podman-'));
  const storage = ['--root', join(own, 'root'), '--runroot', join(own, 'run'), '--storage-driver', 'vfs'];
  // Neither a file system nor a systemd is asked for that might not be there.
  const always = [
    ...storage,
    '--cgroup-manager',
    'cgroupfs',
    '--events-backend',
    'file',
    '--runtime',
    runtime,
  ];

  const said = (...args: readonly string[]): Promise<Said> => runProgram(program, [...always, ...args]);
  const podman = async (...args: readonly string[]): Promise<string> => {
    const { exit, stdout, stderr } = await said(...args);
    if (exit !== 0) throw new Error(`podman ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  afterAll(async () => {
    await podman('rm', '--all', '--force', '--volumes', '--time', '0');
    await podman('rmi', '--all', '--force');
    await rm(own, { recursive: true, force: true });
  }, 60_000);

  const mounts = await programMounts();
  const build = async (folder: string, tag: string, options: readonly string[] = []): Promise<void> => {
    const base = /^FROM (\S+)/m.exec(await readFile(join(folder, 'Dockerfile'), 'utf8'))?.[1];
    if (base === undefined) throw new Error('the Dockerfile begins with no image');
    const archive = await standIn(own);
    await podman('import', '--quiet', '--change', `ENV PATH=${PATHS}`, archive, `docker.io/library/${base}`);
    const alone = ['--isolation=chroot', '--pull=never', '--layers=false', '--format=docker'];
    await podman('build', ...alone, ...mounts, ...(await npmMounts(own)), ...options, '--tag', tag, folder);
  };
  return Object.assign(podman, { said, build, mounts });
}

/** An archive of what is not mounted. */
async function standIn(own: string): Promise<string> {
  const tree = join(own, 'stand-in');
  for (const each of ['etc', 'home/node', 'tmp', 'usr/local/bin', 'var/lib'])
    await mkdir(join(tree, each), { recursive: true });
  await chmod(tree, 0o755);
  await chmod(join(tree, 'tmp'), 0o1777);
  for (const each of ['bin', 'lib', 'lib64', 'sbin']) await symlink(`usr/${each}`, join(tree, each));
  const users = 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n';
  await writeFile(join(tree, 'etc/passwd'), users);
  await writeFile(join(tree, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
  const archive = `${tree}.tar`;
  const tar = await runProgram('tar', ['-C', tree, '--owner=0', '--group=0', '-cf', archive, '.']);
  if (tar.exit !== 0) throw new Error(tar.stderr);
  return archive;
}

async function programMounts(): Promise<string[]> {
  const node = dirname(dirname(await realpath(process.execPath)));
  const folders = ['/usr/bin', '/usr/lib', '/usr/lib64', '/usr/sbin'].map((each) => [each, each] as const);
  return [[node, NODE] as const, ...folders].map(([from, to]) => `--volume=${from}:${to}:ro`);
}

/** With these, npm fetches from where it fetches on this machine, and not what it has at hand. */
async function npmMounts(own: string): Promise<string[]> {
  const [users, cache, registry, authorities = process.env['NODE_EXTRA_CA_CERTS']] = await Promise.all(
    ['userconfig', 'cache', 'registry', 'cafile'].map(npmSetting),
  );
  const lines = ['prefer-offline=true', 'audit=false', 'update-notifier=false'];
  if (users !== undefined && (await exists(users))) lines.unshift(await readFile(users, 'utf8'));
  if (registry !== undefined) lines.push(`registry=${registry}`);
  const mounts: string[] = [];
  if (authorities !== undefined) {
    lines.push('cafile=/etc/authorities');
    mounts.push(`--volume=${authorities}:/etc/authorities:ro`);
  }
  if (cache !== undefined && (await exists(cache))) mounts.push(`--volume=${cache}:/root/.npm`);
  const settings = join(own, 'npmrc');
  await writeFile(settings, lines.join('\n'));
  return [...mounts, `--volume=${settings}:/root/.npmrc:ro`];
}

async function npmSetting(name: string): Promise<string | undefined> {
  const value = (await runProgram('npm', ['config', 'get', name])).stdout.trim();
  return ['', 'null', 'undefined'].includes(value) ? undefined : value;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
