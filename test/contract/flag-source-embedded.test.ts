import { createServer } from 'node:net';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { EmbeddedSource } from '../../src/flags/embedded-source.js';
import type { FlagSource } from '../../src/flags/source.js';
import { testDatabase } from '../support/database.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

const database = await testDatabase();
/** Well within a second on a machine of its own; by the poll it would be an hour. */
const SOON_MS = 10_000;

describe('flags from the control database', () => {
  const write = async (permille: number): Promise<void> => {
    await database.owner.query(
      `update portcullis_control.flag set enabled = true, variants = $1, changed_by = 'another process'`,
      [JSON.stringify([{ version: '1.0.0_abc', permille }])],
    );
  };
  const share = (source: FlagSource): number | undefined => {
    const found = source.repository.find('domain-claim.eu-west-1');
    return found !== undefined && 'variants' in found ? found.variants[0]?.permille : undefined;
  };
  const started = async (pollMs: number): Promise<EmbeddedSource> => {
    const source = new EmbeddedSource(database.pool(database.workerUrl), { pollMs });
    await source.start();
    expect(share(source)).toBe(1);
    return source;
  };

  beforeEach(async () => {
    await database.owner.query('delete from portcullis_control.flag');
    await database.owner.query(
      `insert into portcullis_control.flag (job, region, reason, changed_by)
       values ('domain-claim', 'eu-west-1', 'test', 'test')`,
    );
    await write(1);
  });

  test('are in force soon by notification alone', async () => {
    const source = await started(3_600_000);
    for (const permille of [2, 3, 4]) {
      await write(permille);
      const writtenAt = performance.now();
      await until('the change is there', () => share(source) === permille);
      expect(performance.now() - writtenAt).toBeLessThan(SOON_MS);
    }
    await source.stop();
  });

  test('are in force by the poll alone, where a notification got lost', async () => {
    const source = await started(50);
    await database.owner.query('alter table portcullis_control.flag disable trigger flag_written');
    await write(2);
    await until('the change is there', () => share(source) === 2);
    await database.owner.query('alter table portcullis_control.flag enable trigger flag_written');
    await source.stop();
  });

  test('are heard again by notification after the server ended the connection', async () => {
    const source = await started(3_600_000);
    await database.owner.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid()
         and query like 'select %from portcullis_control.admission %'`,
    );
    await until('the loss was noticed', () => source.state().problem !== undefined);
    await until('it is heard again', () => source.state().problem === undefined);
    await write(2);
    await until('the change is there', () => share(source) === 2);
    await source.stop();
  });

  test('are asked for ever less often while the server is away', async () => {
    const { hostname, port } = new URL(database.workerUrl);
    const proxy = new TcpProxy(hostname, Number(port));
    await proxy.open();
    const through = new URL(database.workerUrl);
    through.port = String(proxy.port);
    const source = new EmbeddedSource(database.pool(through.href), { pollMs: 3_600_000 });
    await source.start();
    await proxy.cut();
    const cutAt = performance.now();
    let tries = 0;
    const away = createServer((socket) => {
      tries += 1;
      socket.destroy();
    }).listen(proxy.port, '127.0.0.1');
    await until('it has been tried thrice', () => tries >= 3);
    expect(performance.now() - cutAt).toBeGreaterThan(1_000);
    await source.stop();
    away.close();
  });

  test('come in the order of their commits, where revisions were given in another', async () => {
    const source = await started(3_600_000);
    await database.owner.query(
      `insert into portcullis_control.flag (job, region, reason, changed_by)
       values ('domain-claim', 'eu-west-2', 'test', 'test')`,
    );
    const slow = await database.owner.connect();
    await slow.query('begin');
    await slow.query(`update portcullis_control.flag set enabled = true, variants = '[{"version": "1.0.0_abc", "permille": 7}]'
                      where region = 'eu-west-1'`);
    await database.owner.query(
      `update portcullis_control.flag set enabled = true where region = 'eu-west-2'`,
    );
    await until('the later revision is there', () => {
      const found = source.repository.find('domain-claim.eu-west-2');
      return found !== undefined && 'enabled' in found && found.enabled;
    });
    expect(share(source)).toBe(1);
    await slow.query('commit');
    slow.release();
    await until('the earlier revision, committed later, is there', () => share(source) === 7);
    await source.stop();
  });
});
