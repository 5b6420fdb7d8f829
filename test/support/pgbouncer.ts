import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';
import pg from 'pg';
import { requireProgram } from './debian-package.js';
import { freePort } from './prometheus.js';
import { until } from './until.js';

/**
 * Debian's PgBouncer in front of the server that `ownerUrl` leads to, until the file's tests are over. Logins are
 * those of the server. Answers a function that leads a URL of the server through it.
 */
export async function startPgBouncer(
  ownerUrl: string,
  settings: Readonly<Record<string, string | number>>,
): Promise<(url: string) => string> {
  const program = await requireProgram('pgbouncer', 'pgbouncer');
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-pgbouncer-'));
  // As root, it runs as another user, who must be able to read its configuration.
  await chmod(folder, 0o755);
  const { hostname, port, username, password } = new URL(ownerUrl);
  const listen = await freePort();
  const user = decodeURIComponent(username);
  await writeFile(join(folder, 'users.txt'), `"${user}" "${decodeURIComponent(password)}"\n`);
  const config = {
    ...{ listen_addr: '127.0.0.1', listen_port: listen, unix_socket_dir: '' },
    ...{ auth_type: 'scram-sha-256', auth_file: join(folder, 'users.txt'), auth_user: user },
    auth_query: 'select usename, passwd from pg_catalog.pg_shadow where usename = $1',
    ...settings,
  };
  const lines = Object.entries(config).map(([name, value]) => `${name} = ${value}`);
  const file = join(folder, 'pgbouncer.ini');
  await writeFile(file, `[databases]\n* = host=${hostname} port=${port}\n[pgbouncer]\n${lines.join('\n')}\n`);
  const asRoot = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn(program, [...asRoot, file], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  const over = once(child, 'exit');
  afterAll(async () => {
    child.kill('SIGKILL');
    await over;
    await rm(folder, { recursive: true, force: true });
  });
  const through = (url: string): string => Object.assign(new URL(url), { port: String(listen) }).toString();
  await until('PgBouncer lets somebody in', async () => {
    if (child.exitCode !== null) throw new Error(`PgBouncer has ended: ${said}`);
    const client = new pg.Client({ connectionString: through(ownerUrl) });
    client.on('error', () => undefined);
    return client
      .connect()
      .then(
        () => true,
        () => false,
      )
      .finally(() => client.end().catch(() => undefined));
  });
  return through;
}
