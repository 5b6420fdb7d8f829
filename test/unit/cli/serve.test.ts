import { describe, expect, test } from '@jest/globals';
import { PortcullisError } from '../../../src/kernel/errors.js';
import { Voice } from '../../../src/cli/context.js';
import { createProgram } from '../../../src/cli/program.js';
import { tryNextText } from '../../../src/cli/where-text.js';
import { until } from '../../support/until.js';
import { FakeApp, report } from './fake-app.js';
import { FakeTerminal } from './fake-terminal.js';

function begin(app: FakeApp, io: FakeTerminal, ...args: string[]): Promise<unknown> {
  return createProgram(app, io, app.commands).parseAsync(['node', 'portcullis', ...args]);
}

const waiting = (io: FakeTerminal): Promise<unknown> =>
  until('the service waits for its schedule', () => io.stdout.text.includes('next run of sweep'));

describe('start', () => {
  test('tells where everything is, runs at once, waits, and stops in order at Ctrl-C', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    const running = begin(app, io, 'start', '--sample', '--run-now');
    await waiting(io);
    const text = io.stdout.text;
    for (const fact of [
      'http://127.0.0.1:7020',
      '/srv/portcullis/admin-token (new)',
      'postgresql://owner:***@db:5432/portcullis',
      '/srv/flags',
      'made-up rows, written just now',
      'sweep 1.0.0_0000abcd in eu-west-1, us-east-1',
      'portcullis status --watch',
    ]) {
      expect(text).toContain(fact);
    }
    expect(text).toMatch(
      /09:30:00Z {2}eu-west-1 {2}1\.0\.0_0000abcd {2}succeeded {4}1,234 {4}1,234 {10}0 {2}done/,
    );
    expect(app.happened).toEqual(['open', 'serve']);
    io.interrupt();
    await running;
    expect(app.happened).toEqual(['open', 'serve', 'stop', 'close']);
    expect(io.exitCode).toBe(0);
    expect(io.listening).toBe(false);
  });

  test('adds a row under the same heads for each later run', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    const running = begin(app, io, 'start', '--run-now');
    await waiting(io);
    const first = io.stdout.text.split('\n').find((line) => line.includes('us-east-1  1.0.0'));
    const before = io.stdout.text.length;
    app.served?.onRun(report('us-east-1', { status: 'held', reason: 'the flag is off' }));
    const row = io.stdout.text.slice(before);
    expect(row.indexOf('held')).toBe(first?.indexOf('succeeded'));
    expect(row.trimEnd().endsWith('the flag is off')).toBe(true);
    io.interrupt();
    await running;
  });

  test('names a region where another process has a run under way', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    app.runAllNow = (options) => {
      options.onRun(report('eu-west-1'));
      return Promise.resolve();
    };
    const running = begin(app, io, 'start', '--run-now');
    await waiting(io);
    expect(io.stdout.text).toMatch(/us-east-1 .*another process has a run under way here/);
    io.interrupt();
    await running;
  });

  test('without --run-now it runs nothing, and prints heads with the first row that comes', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    app.runAllNow = () => Promise.reject(new Error('nobody asked for this'));
    const running = begin(app, io, 'start');
    await waiting(io);
    expect(io.stdout.text).not.toContain('planned  applied');
    app.served?.onRun(report('eu-west-1'));
    app.served?.onRun(report('us-east-1'));
    expect(io.stdout.text.match(/planned {2}applied/g)).toHaveLength(1);
    io.interrupt();
    await running;
  });

  test('with --json each thing is an object on a line', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    const running = begin(app, io, 'start', '--run-now', '--json');
    await until('it waits', () => io.stdout.text.includes('"waiting"'));
    app.served?.onRun(report('us-east-1', { status: 'held', code: 'flag-off' }));
    io.interrupt();
    await running;
    const events = io.objects() as { event: string }[];
    expect(events.map(({ event }) => event)).toEqual([
      ...['started', 'run', 'run', 'waiting', 'run', 'stopping', 'stopped'],
    ]);
    expect(events[0]).toMatchObject({ http: 'http://127.0.0.1:7020', seeded: false });
    expect(events[4]).toMatchObject({
      ...{ job: 'sweep', version: '1.0.0_0000abcd', region: 'us-east-1', slot: '2026-03-01T09:30:00.000Z' },
      ...{ status: 'held', reasonCode: 'flag-off', conflicts: 0, durationMs: 1_235 },
    });
    expect(io.stderr.text).toBe('');
  });

  test('says which policy files differ from what is in force, and how to put them in force', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    app.policiesAtStart = {
      drift: {
        differing: [
          {
            ...{ job: 'sweep', file: '/srv/flags/sweep.yaml', change: 'changed', flags: [] },
            fields: [{ path: 'apply.batch', before: 500, after: 5_000 }],
          },
        ],
        faults: null,
      },
    };
    const running = begin(app, io, 'start');
    await waiting(io);
    expect(io.stdout.text.replace(/\s+/g, ' ')).toContain(
      '/srv/flags/sweep.yaml differs from the policy of sweep in force (apply.batch); compare with portcullis flags diff, put it in force with portcullis flags apply',
    );
    io.interrupt();
    await running;
  });

  test('Ctrl-C in the middle of the first runs does not wait for them to end by themselves', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    app.runAllNow = () => new Promise(() => undefined);
    const running = begin(app, io, 'start', '--run-now');
    await until('runs are under way', () => io.stdout.text.includes('serves'));
    io.interrupt();
    await running;
    expect(app.happened).toEqual(['open', 'serve', 'stop', 'close']);
    expect(io.stdout.text).toContain('interrupted');
  });

  test('closes what it opened where it cannot serve', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    const error = new PortcullisError('FOLDER_HELD', '/srv/portcullis is held by pid 7');
    app.failure = { at: 'serve', error };
    await expect(begin(app, io, 'start')).rejects.toBe(error);
    expect(app.happened).toEqual(['open', 'serve', 'close']);
    expect(io.listening).toBe(false);
  });
});

describe('worker', () => {
  test('serves its regions alone, without HTTP and without running at once', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    app.runAllNow = () => Promise.reject(new Error('nobody asked for this'));
    const running = begin(app, io, 'worker', '--regions', 'us-east-1, us-east-1');
    await waiting(io);
    expect(app.served).toMatchObject({ control: false, http: false, sample: false, regions: ['us-east-1'] });
    expect(io.stdout.text).toContain('not served');
    io.interrupt();
    await running;
  });
});

describe('doctor', () => {
  test('looks at the machine, and names the hint, even where there is no database', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    app.failure = {
      at: 'open',
      error: new PortcullisError('DATABASE_UNREACHABLE', 'db:5432: connect ECONNREFUSED', {
        hint: 'check that the server runs',
      }),
    };
    await begin(app, io, 'doctor');
    expect(io.exitCode).toBe(1);
    expect(io.stdout.text).toMatch(/✓ Node\.js +\d+\.\d+/);
    expect(io.stdout.text).toMatch(
      /✗ database +db:5432: connect ECONNREFUSED\n +hint: check that the server runs\n/,
    );
    expect(io.stdout.text).toMatch(/1 problem/);
  });

  test('with --json is one object', async () => {
    const [app, io] = [new FakeApp(), new FakeTerminal()];
    app.failure = { at: 'open', error: new Error('no') };
    await begin(app, io, 'doctor', '--json');
    expect(io.objects()).toEqual([
      expect.objectContaining({
        healthy: false,
        findings: expect.arrayContaining([{ check: 'database', mark: 'fail', found: 'no' }]) as unknown,
      }),
    ]);
  });
});

test.each([
  ['/srv/portcullis/admin-token', '/srv/portcullis/admin-token'],
  ['/home/José Ünal/admin-token', `'/home/José Ünal/admin-token'`],
  [`/tmp/it's $HOME/admin-token`, `'/tmp/it'\\''s $HOME/admin-token'`],
])('the command to try next names %s as a shell takes it', (file, shown) => {
  const service = {
    ...{
      httpUrl: 'http://127.0.0.1:7020',
      adminToken: { file, standing: 'new' as const },
      seeded: false,
      sampleAway: [],
      served: [],
    },
    ...{
      signInCode: () => Promise.resolve(undefined),
      now: () => Promise.resolve(new Date()),
      runAllNow: () => Promise.resolve(),
      stop: () => Promise.resolve(),
    },
  };
  const text = tryNextText(new Voice(new FakeTerminal(), false), service, 'portcullis');
  expect(text).toContain(`"Authorization: Bearer $(cat ${shown})"`);
});
