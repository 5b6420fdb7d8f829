import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { createProgram } from '../../../src/cli/program.js';
import type { Replay } from '../../../src/demo/command.js';
import { RESULT } from '../demo/replay-result.js';
import { FakeApp } from './fake-app.js';
import { FakeTerminal } from './fake-terminal.js';

const folder = await mkdtemp(join(tmpdir(), 'portcullis-replay-'));
afterAll(() => rm(folder, { recursive: true }));

type Asked = Parameters<Replay>[0];

async function replay(...args: string[]) {
  const app = new FakeApp();
  const io = new FakeTerminal();
  const asked: Asked[] = [];
  app.replay = (size) => {
    asked.push(size);
    return Promise.resolve(RESULT);
  };
  await createProgram(app, io, app.commands).parseAsync(['node', 'portcullis', 'replay', ...args]);
  return { io, asked, happened: app.happened };
}

describe('portcullis replay', () => {
  test('asks for 200,000 accounts in six regions, and opens no installation', async () => {
    const { asked, happened } = await replay();
    expect(asked).toEqual([{ accounts: 200_000, regions: 6, seed: 1 }]);
    expect(happened).toEqual([]);
  });

  test('shows what became of each world, and which durations are virtual', async () => {
    const { io } = await replay('--accounts', '20000', '--regions', '2', '--seed', '7');
    expect(io.stdout.text).toMatch(
      /^ungated +4,722 +1,023 +6 +1 h 58 min \* +10\.0 s \* +529 ms +220 +but 654 rows$/m,
    );
    expect(io.stdout.text).toMatch(/^Portcullis +0 +0 +0 +740 ms +at once +nothing to do +0 +exactly$/m);
    expect(io.stdout.text).toMatch(/^ungated +1,442 +1,658 +1,419 +1,411 +1,438$/m);
    expect(io.stdout.text).toMatch(/^ungated +9,310 rows in 529 ms, 17,593 a second$/m);
    expect(io.stdout.text).toContain('domain-claim 1.1.0_19d8a776 after 40 runs of 1.0.0_0115b575');
  });

  test('prints one object with --json', async () => {
    const { io } = await replay('--json');
    const answer = JSON.parse(io.stdout.text) as { worlds: { name: string; restoredExactly: boolean }[] };
    expect(answer.worlds.map(({ name, restoredExactly }) => [name, restoredExactly])).toEqual([
      ['ungated', false],
      ['Portcullis', true],
    ]);
  });

  test('writes the report', async () => {
    const file = join(folder, 'incident.html');
    const { io } = await replay('--report', file);
    expect(await readFile(file, 'utf8')).toContain('</html>');
    expect(io.stderr.text).toContain(`report in ${file}`);
  });

  test('says that a report cannot be written before it replays anything', async () => {
    const app = new FakeApp();
    let replayed = false;
    app.replay = () => {
      replayed = true;
      return Promise.resolve(RESULT);
    };
    const program = createProgram(app, new FakeTerminal(), app.commands);
    await expect(
      program.parseAsync(['node', 'portcullis', 'replay', '--report', join(folder, 'nowhere', 'x.html')]),
    ).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
    expect(replayed).toBe(false);
  });

  test.each([
    ['--accounts', '10'],
    ['--accounts', '2e5'],
    ['--regions', '0'],
    ['--accounts', '0'],
    ['--regions', '7'],
    ['--seed', '-1'],
  ])('refuses %s %s', async (option, value) => {
    await expect(replay(option, value)).rejects.toMatchObject({ exitCode: 1 });
  });

  test('ends on Ctrl-C without a result, once what it made is dropped', async () => {
    const app = new FakeApp();
    const io = new FakeTerminal();
    app.replay = (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('cut short')), { once: true });
        io.interrupt();
      });
    const [fresh, old] = [join(folder, 'fresh.html'), join(folder, 'old.html')];
    await writeFile(old, 'of last week');
    for (const report of [fresh, old]) {
      await createProgram(app, io, app.commands).parseAsync([
        'node',
        'portcullis',
        'replay',
        '--report',
        report,
      ]);
    }
    expect(io.stdout.text).toBe('');
    expect(io.stderr.text).toContain('everything that the replay made is dropped');
    expect(io.exitCode).toBe(1);
    await expect(access(fresh)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await readFile(old, 'utf8')).toBe('of last week');
  });

  test('shows no detection where there was nothing to notice', async () => {
    const io = new FakeTerminal();
    const app = new FakeApp();
    const worlds = RESULT.worlds.slice(1).map((world) => ({ ...world, detect: null }));
    app.replay = () => Promise.resolve({ ...RESULT, worlds });
    await createProgram(app, io, app.commands).parseAsync(['node', 'portcullis', 'replay']);
    expect(io.stdout.text).toMatch(/^Portcullis +0 +0 +0 +– +at once +nothing to do +0 +exactly$/m);
  });
});
