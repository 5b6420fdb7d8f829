import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { keepEmbedded } from '../../src/app/keep-embedded.js';
import { lockFolder } from '../../src/postgres/folder-lock.js';
import { startEmbedded, type EmbeddedServer } from '../../src/postgres/embedded-server.js';
import { createLogger } from '../../src/telemetry/log.js';
import { until } from '../support/until.js';

const root = process.getuid?.() === 0;
let folder = '';
let started: EmbeddedServer[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portcullis-embedded-'));
  chmodSync(folder, 0o755);
});
afterEach(async () => {
  for (const server of started) {
    await server.stop();
    const above = dirname(server.data);
    for (const name of existsSync(above) ? readdirSync(above) : []) {
      if (name.startsWith(basename(server.data))) rmSync(join(above, name), { recursive: true, force: true });
    }
  }
  started = [];
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<EmbeddedServer> {
  const server = await startEmbedded({ folder, settings: ['fsync=off'] });
  started.push(server);
  return server;
}

async function ask<T>(url: string, sql: string, as = 'test'): Promise<T | undefined> {
  const client = new pg.Client({ connectionString: url, application_name: as });
  await client.connect();
  try {
    return (await client.query<{ answer: T }>(sql)).rows[0]?.answer;
  } finally {
    await client.end();
  }
}

describe('the embedded PostgreSQL', () => {
  test('is one server for any number of processes that start it at once', async () => {
    const servers = await Promise.all([start(), start(), start()]);
    expect(new Set(servers.map(({ url }) => url)).size).toBe(1);
    expect(await ask(servers[0].url, 'select 1 as answer')).toBe(1);
  });

  test('is adopted where it runs already, and goes on from where it was', async () => {
    const first = await start();
    await ask(first.url, 'create table kept as select 42 as answer');
    const second = await start();
    expect(second).toMatchObject({ adopted: true, url: first.url });
    await second.stop();
    const third = await start();
    expect(third.adopted).toBe(false);
    expect(await ask(third.url, 'select answer from kept')).toBe(42);
  });

  test('is left running by a process that stops while another still uses it', async () => {
    const server = await start();
    const other = new pg.Client({ connectionString: server.url, application_name: 'portcullis other' });
    await other.connect();
    await server.stop();
    expect((await other.query('select 1')).rowCount).toBe(1);
    await other.end();
  });

  test('listens on loopback only, and wants a password', async () => {
    const { url } = await start();
    expect(await ask(url, `select setting as answer from pg_settings where name = 'listen_addresses'`)).toBe(
      '127.0.0.1',
    );
    const without = new URL(url);
    without.password = 'wrong';
    await expect(ask(without.toString(), 'select 1 as answer')).rejects.toMatchObject({ code: '28P01' });
  });

  test('keeps its data where its user may enter, and begins anew when its folder was removed', async () => {
    chmodSync(folder, 0o700);
    const before = await start();
    // Root cannot run a server itself, and the one who does may not enter this folder.
    expect(before.data.startsWith(folder)).toBe(!root);
    await ask(before.url, 'create table kept as select 42 as answer');
    rmSync(folder, { recursive: true, force: true });
    if (!root) await before.stop().catch(() => undefined);
    const after = await start();
    await expect(ask(after.url, 'select answer from kept')).rejects.toMatchObject({ code: '42P01' });
  });

  test('that stands still is said to, and not waited for without end', async () => {
    const { data } = await start();
    const pid = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
    process.kill(pid, 'SIGSTOP');
    try {
      await expect(startEmbedded({ folder })).rejects.toMatchObject({
        code: 'EMBEDDED_POSTGRES_FAILED',
        message: expect.stringMatching(/does not answer: /) as unknown,
      });
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  }, 30_000);

  test('that was killed is started again for who holds its folder, where it was, and held again', async () => {
    const server = await start();
    const { url, data } = server;
    await ask(url, 'create table kept as select 42 as answer');
    expect(await server.revive()).toBe(false);
    const installation = { embedded: server, urls: { owner: url, worker: url }, home: folder };
    const keeping = keepEmbedded(
      installation,
      await lockFolder(url, folder),
      createLogger({ level: 'silent' }),
    );
    try {
      process.kill(Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]), 'SIGKILL');
      await until('it is back', () =>
        ask(url, 'select answer from kept').then(
          (answer) => answer === 42,
          () => false,
        ),
      );
      await until('its folder is held', () =>
        lockFolder(url, folder).then(
          async (mine) => (await mine.release(), false),
          (error: unknown) => (error as { code?: unknown }).code === 'FOLDER_HELD',
        ),
      );
    } finally {
      await keeping.stop();
    }
  }, 60_000);

  test('says so where its folder cannot be written', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const impossible of [file, join(file, 'below')]) {
      await expect(startEmbedded({ folder: impossible })).rejects.toMatchObject({
        code: 'FILE_UNWRITABLE',
        message: expect.stringContaining(impossible) as unknown,
        hint: expect.stringContaining('PORTCULLIS_HOME') as unknown,
      });
    }
  });
});
