import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { shippedPolicy } from '../support/far-slot.js';
import { portcullis, temporaryFolder, type Finished, type Running } from '../support/portcullis.js';
import { until } from '../support/until.js';

/**
 * The program as a stranger meets it: `dist/main.js` as processes of their own, on a PostgreSQL that it brings
 * along, in a folder that did not exist before. The tests of this file follow on one another.
 */

const JOB = 'domain-claim';
const STARTING_MS = 150_000;

// No slot is due while the tests go on: runs are those that they ask for.
const root = await temporaryFolder({ 'domain-claim.yaml': await shippedPolicy() });
const home = join(root, 'home');
const env = { PORTCULLIS_HOME: home, PORTCULLIS_FLAGS: root, PORTCULLIS_HTTP: '127.0.0.1:0' };

interface Event {
  readonly event: string;
  readonly [fact: string]: unknown;
}

interface RunAnswer {
  readonly runId: string;
  readonly region: string;
  readonly status: string;
  readonly planned: Readonly<Record<string, number>>;
  readonly applied: Readonly<Record<string, number>>;
  readonly conflicts: number;
}

type RunEvent = Event & RunAnswer;

/** A serving process whose JSON lines are read as they come. */
class Serving {
  readonly events: Event[] = [];
  readonly #running: Running;
  #rest = '';

  constructor(...args: string[]) {
    this.#running = portcullis([...args, '--json'], { env });
    this.#running.child.stdout?.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      this.events.push(...lines.map((line) => JSON.parse(line) as Event));
    });
  }

  async event(name: string): Promise<Event> {
    let over: Finished | undefined;
    void this.#running.finished.then((finished) => (over = finished));
    return until(
      `the event ${name}`,
      () => {
        const found = this.events.find((each) => each.event === name);
        if (!found && over) throw new Error(`it ended with ${String(over.code)}: ${over.stderr}`);
        return found;
      },
      STARTING_MS,
    );
  }

  get runs(): RunEvent[] {
    return this.events.filter((each): each is RunEvent => each.event === 'run');
  }

  async end(signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL'): Promise<Finished> {
    this.#running.child.kill(signal);
    return this.#running.finished;
  }
}

function command(...args: string[]): Promise<Finished> {
  return portcullis(args, { env }).finished;
}

/** The one JSON object that a command prints, and its exit code. */
async function answer(...args: string[]): Promise<{ code: number | null; object: unknown }> {
  return answerOf(args, await command(...args, '--json'));
}

function answerOf(
  args: readonly string[],
  { code, stdout, stderr }: Finished,
): { code: number | null; object: unknown } {
  const lines = stdout.trimEnd().split('\n');
  if (lines.length !== 1 || stdout === '') throw new Error(`${args.join(' ')}: ${stdout}\n${stderr}`);
  return { code, object: JSON.parse(stdout) as unknown };
}

async function refusal(...args: string[]): Promise<{ code: number | null; error: Record<string, unknown> }> {
  const { code, stdout, stderr } = await command(...args, '--json');
  expect(stdout).toBe('');
  const last = stderr.trimEnd().split('\n').at(-1) ?? '';
  return { code, error: (JSON.parse(last) as { error: Record<string, unknown> }).error };
}

interface StatusAnswer {
  readonly jobs: readonly {
    readonly job: string;
    readonly version: string;
    readonly regions: readonly {
      readonly region: string;
      readonly flag: { readonly enabled: boolean; readonly variants: readonly unknown[] };
      readonly gate: { readonly state: string; readonly permits: boolean };
      readonly lastRun: { readonly runId: string; readonly status: string };
    }[];
  }[];
}

interface DoctorAnswer {
  readonly healthy: boolean;
  readonly findings: readonly { readonly check: string; readonly mark: string; readonly found: string }[];
}

async function status(): Promise<{ code: number | null; object: StatusAnswer }> {
  const { code, object } = await answer('status');
  return { code, object: object as StatusAnswer };
}

async function doctor(): Promise<{ code: number | null; object: DoctorAnswer }> {
  const { code, object } = await answer('doctor');
  return { code, object: object as DoctorAnswer };
}

async function runJob(...args: string[]): Promise<{ code: number | null; object: RunAnswer }> {
  const { code, object } = await answer('run', JOB, ...args);
  return { code, object: object as RunAnswer };
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

let serving: Serving;
let heldRegion = '';
let otherHeldRegion = '';

afterAll(async () => {
  // Whatever happened above, the server that the tests brought along goes with them: a command adopts it,
  // and the last to leave stops it.
  await command('tokens', 'list');
}, STARTING_MS);

describe('the first start', () => {
  test(
    'makes everything, runs the job where its flag is on, and holds it elsewhere',
    async () => {
      serving = new Serving('start', '--sample', '--run-now');
      const started = await serving.event('started');
      expect(started).toMatchObject({ home, embedded: { adopted: false }, seeded: true });
      await serving.event('waiting');
      expect(serving.runs).toHaveLength(6);
      const done = serving.runs.filter(({ status }) => status === 'succeeded');
      expect(done).toHaveLength(4);
      for (const run of done) {
        expect(sum(run.applied)).toBeGreaterThan(100);
        expect(run.applied).toEqual(run.planned);
      }
      const held = serving.runs.filter(({ status }) => status === 'held');
      expect(held).toHaveLength(2);
      for (const run of held) expect(run.planned).toEqual({});
      [heldRegion = '', otherHeldRegion = ''] = held.map(({ region }) => region);
    },
    STARTING_MS,
  );

  test('writes a token that only its owner may read, and that the API takes', async () => {
    const { http, adminToken } = (await serving.event('started')) as unknown as {
      http: string;
      adminToken: { file: string; standing: string };
    };
    expect(adminToken.standing).toBe('new');
    expect((await stat(adminToken.file)).mode & 0o777).toBe(0o600);
    const token = (await readFile(adminToken.file, 'utf8')).trim();
    const asked = await fetch(`${http}/api/v1/runs`, { headers: { authorization: `Bearer ${token}` } });
    expect(asked.status).toBe(200);
    expect((await fetch(`${http}/api/v1/runs`)).status).toBe(401);
  });
});

describe('beside a serving process', () => {
  test('status shows every gate', async () => {
    const { code, object } = await status();
    expect(code).toBe(0);
    const [job] = object.jobs;
    expect(job?.job).toBe(JOB);
    expect(job?.regions).toHaveLength(6);
    for (const { flag, gate, lastRun } of job?.regions ?? []) {
      const on = flag.enabled && flag.variants.length > 0;
      expect(gate).toMatchObject(on ? { state: 'open', permits: true } : { state: 'held', permits: false });
      expect(lastRun.status).toBe(on ? 'succeeded' : 'held');
    }
  });

  test('a run behind a closed gate is held: exit code 3', async () => {
    const { code, object } = await runJob('--region', heldRegion);
    expect(code).toBe(3);
    expect(object).toMatchObject({ status: 'held', planned: {}, applied: {}, conflicts: 0 });
  });

  test('a dry run shows what would be, and leaves everything as it is', async () => {
    const { code, stdout } = await command('run', JOB, '--region', heldRegion, '--dry-run');
    expect(code).toBe(0);
    expect(stdout).toMatch(/status +planned/);
    expect(stdout).toMatch(/the first 10 of \d+ changes/);
    expect(stdout).toContain('→');
    expect(stdout).toMatch(/applied +–/);
  });

  test('a flag that is set is in force, and the run goes ahead and is shown', async () => {
    const set = await answer(
      'flags',
      'set',
      JOB,
      '--region',
      heldRegion,
      '--on',
      '--version',
      'installed',
      '--share',
      '50%',
      '--reason',
      'a try',
    );
    expect(set).toMatchObject({
      code: 0,
      object: { flags: [{ region: heldRegion, enabled: true, variants: [{ permille: 500 }] }] },
    });
    const { code, object } = await runJob('-r', heldRegion);
    expect(code).toBe(0);
    expect(Object.keys(object).sort()).toEqual(
      [
        ...['runId', 'job', 'version', 'region', 'slot', 'status', 'reason', 'planned', 'applied'],
        ...['conflicts', 'durationMs'],
      ].sort(),
    );
    expect(object.status).toBe('succeeded');
    expect(sum(object.applied)).toBeGreaterThan(0);

    const short = object.runId.slice(0, 8);
    const shown = await answer('run', 'show', short);
    expect(shown.object).toMatchObject({ runId: object.runId, applied: object.applied });
    const changes = await command('run', 'show', short, '--changes', '--json');
    expect(changes.stdout.trimEnd().split('\n')).toHaveLength(sum(object.planned));
    const listed = await answer('runs', '--region', heldRegion, '-n', '1');
    expect(listed.object).toMatchObject({ runs: [{ runId: object.runId }] });

    const { object: touched } = await answer('impact', short);
    const { rows, byProduct } = touched as {
      rows: number;
      byProduct: readonly { product: string; rows: number; units: number }[];
    };
    expect(rows).toBe(sum(object.applied));
    // The sample world's accounts use one product or several, of five.
    expect(byProduct.map(({ product }) => product).sort()).toEqual([
      'Access',
      'Confluence',
      'Jira',
      'Opsgenie',
      'Trello',
    ]);
    for (const each of byProduct) {
      expect(Object.keys(each).sort()).toEqual(['product', 'rows', 'units']);
      expect(each.units).toBeLessThanOrEqual(each.rows);
      expect(each.rows).toBeLessThanOrEqual(object.applied['claim'] ?? 0);
    }
    const { stdout } = await command('impact', short);
    for (const { product, rows: used, units } of byProduct) {
      expect(stdout).toMatch(new RegExp(`^${product} +${used} +${units}$`, 'm'));
    }
  });

  test('the doctor finds no problem but that nobody is notified', async () => {
    const { code, object } = await doctor();
    expect(object.findings.filter(({ mark }) => mark !== 'ok')).toMatchObject([
      { check: 'receivers', mark: 'warn' },
    ]);
    expect(code).toBe(0);
  });

  test('a second start on the same folder says who holds it', async () => {
    const { code, error } = await refusal('start');
    expect(code).toBe(1);
    expect(error).toMatchObject({ code: 'FOLDER_HELD', message: expect.stringContaining(home) as unknown });
  });

  test('the directory goes out and comes back in whole', async () => {
    const folder = join(root, 'out');
    const exported = await answer('directory', 'export', folder);
    expect(exported.object).toMatchObject({
      rows: { organisations: 300, accounts: 20_000, domains: 900 },
    });
    const twice = await refusal('directory', 'import', '--organisations', join(folder, 'organisations.csv'));
    expect(twice).toMatchObject({ code: 2, error: { code: 'CSV_INVALID', details: { total: 300 } } });
  });
});

describe('stopping and starting again', () => {
  test(
    'Ctrl-C stops cleanly, database included',
    async () => {
      const { code, signal } = await serving.end('SIGINT');
      expect({ code, signal }).toEqual({ code: 0, signal: null });
      expect(serving.events.slice(-2).map(({ event }) => event)).toEqual(['stopping', 'stopped']);
    },
    STARTING_MS,
  );

  test(
    'a second start goes on from where it was',
    async () => {
      serving = new Serving('start', '--sample');
      const started = await serving.event('started');
      expect(started).toMatchObject({
        seeded: false,
        embedded: { adopted: false },
        adminToken: { standing: 'there' },
      });
      const { object } = await status();
      const region = object.jobs[0]?.regions.find((each) => each.region === heldRegion);
      expect(region).toMatchObject({ flag: { enabled: true }, lastRun: { status: 'succeeded' } });
    },
    STARTING_MS,
  );

  test(
    'after a kill -9 the database that lives on is adopted',
    async () => {
      expect((await serving.end('SIGKILL')).signal).toBe('SIGKILL');
      serving = new Serving('start');
      expect(await serving.event('started')).toMatchObject({ embedded: { adopted: true } });
      const { code } = await serving.end('SIGTERM');
      expect(code).toBe(0);
    },
    STARTING_MS,
  );

  test(
    'without a serving process, a command brings the database up, and a run needs none',
    async () => {
      const { code, object } = await runJob('-r', heldRegion);
      expect({ code, status: object.status }).toEqual({ code: 0, status: 'succeeded' });
      const examined = await doctor();
      expect(examined.object.findings.filter(({ mark }) => mark === 'fail')).toEqual([]);
    },
    STARTING_MS,
  );
});

describe('a run that is interrupted', () => {
  /** A resolver that takes every question and answers none, so that planning does not end by itself. */
  const silent = createSocket('udp4');
  let interrupted: RunAnswer;

  beforeAll(async () => {
    silent.bind(0, '127.0.0.1');
    await once(silent, 'listening');
  });
  afterAll(() => {
    silent.close();
  });

  test(
    'by Ctrl-C is given up at once and says so: exit code 3',
    async () => {
      const on = ['--on', '--version', 'installed', '--share', '100%', '--reason', 'a try'];
      await answer('flags', 'set', JOB, '--region', otherHeldRegion, ...on);
      const args = ['run', JOB, '--region', otherHeldRegion, '--json'];
      const running = portcullis(args, {
        env: {
          ...env,
          PORTCULLIS_RESOLVERS: `127.0.0.1:${silent.address().port}`,
          // All questions are given up after two such whiles, and the plan is made without them.
          PORTCULLIS_DNS_TIMEOUT: '60s',
        },
      });
      await until(
        'the run is planning',
        async () => {
          const { object } = await answer('runs', '--region', otherHeldRegion, '--status', 'planning');
          return (object as { runs: readonly unknown[] }).runs.length > 0;
        },
        STARTING_MS,
      );
      running.child.kill('SIGINT');
      const { code, object } = answerOf(args, await running.finished);
      expect(code).toBe(3);
      interrupted = object as RunAnswer;
      expect(interrupted).toMatchObject({ status: 'planning', applied: {} });
      expect(interrupted).toMatchObject({ reason: expect.stringContaining('interrupted') as unknown });
    },
    STARTING_MS,
  );

  test(
    'stands in the way of another until a worker has finished it',
    async () => {
      const busy = await refusal('run', JOB, '--region', otherHeldRegion);
      expect(busy).toMatchObject({
        code: 1,
        error: { code: 'RUN_ACTIVE', details: { activeRun: interrupted.runId } },
      });
      const left = await doctor();
      expect(left.object.findings).toContainEqual(
        expect.objectContaining({
          ...{ check: 'runs', mark: 'warn' },
          found: expect.stringContaining(interrupted.runId.slice(0, 8)) as unknown,
        }),
      );
      serving = new Serving('worker', '--regions', otherHeldRegion);
      await serving.event('waiting');
      const finished = (await serving.event('run')) as RunEvent;
      expect(finished).toMatchObject({ runId: interrupted.runId, status: 'succeeded' });
      expect(sum(finished.applied)).toBeGreaterThan(0);
      expect((await serving.end('SIGTERM')).code).toBe(0);
    },
    STARTING_MS,
  );
});
