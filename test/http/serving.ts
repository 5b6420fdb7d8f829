import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { afterAll } from '@jest/globals';
import type pg from 'pg';
import type { Role } from '../../src/access/roles.js';
import { grantBreakGlass } from '../../src/flags/break-glass.js';
import { EmbeddedSource } from '../../src/flags/embedded-source.js';
import { embeddedDesk } from '../../src/flags/flag-desk.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { PortcullisProvider } from '../../src/flags/provider.js';
import { EventFeed } from '../../src/events/follow.js';
import { createHttpApp, type HttpAppOptions } from '../../src/server/app.js';
import type { OperationContext, OperationFlags } from '../../src/operations/context.js';
import { ARCHIVE_TYPE } from '../../src/operations/archive.js';
import { listen, type ListenOptions } from '../../src/server/listen.js';
import { directoryFiles } from '../../src/jobs/directory/files.js';
import type { Planner } from '../../src/worker/planner-database.js';
import { checkJob } from '../../src/worker/registry.js';
import type { RegionDatabases } from '../../src/regions/region-database.js';
import { newShortId } from '../../src/kernel/short-id.js';
import { inTransaction } from '../../src/postgres/pool.js';
import { tarOf, type TarFile } from '../../src/kernel/tar.js';
import { oneDatabase } from '../support/one-database.js';
import { createLogger } from '../../src/telemetry/log.js';
import { createMetrics } from '../../src/telemetry/metrics.js';
import { tokenOf } from '../support/people.js';

export interface Served {
  readonly url: string;
  readonly token: string;
  /** Every line logged so far. */
  readonly logged: string[];
  readonly deps: OperationContext;
  close(): Promise<void>;
  /** A call with the token. */
  call(path: string, init?: RequestInit): Promise<Response>;
  /** A call with the token whose answer is JSON, whatever its status. */
  readonly json: JsonCall;
  /** `json` of a new principal, with a token of its own. */
  as(name: string, role: Role, regions?: readonly string[]): Promise<JsonCall>;
}

export type JsonCall = (path: string, init?: RequestInit) => Promise<Answer>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** Every region in one database, where nothing is planned. */
export function databasesAt(
  pool: pg.Pool,
  installed: OperationContext['installed'] = () => [],
): RegionDatabases {
  const nothing = (): never => {
    throw new Error('nothing is planned over HTTP');
  };
  const planner: Planner = { rows: nothing, in: nothing, under: nothing };
  return oneDatabase({
    name: 'control',
    owner: pool,
    kills: pool,
    worker: pool,
    planner,
    open: true,
    job: (name) => {
      const job = installed().find(({ definition }) => definition.name === name);
      return job ? checkJob(pool, job) : Promise.reject(new Error(`this test has no job ${name}`));
    },
    prepare: () => Promise.resolve(),
  });
}

/** For tests that are not about flags. */
const NO_FLAGS: OperationFlags = {
  source: () => ({ kind: 'none', url: null, heardAt: null, ageMs: null, polledMs: null, problem: null }),
  list: () => Promise.resolve([]),
  set: () => Promise.reject(new Error('this test has no flags')),
  look: () => ({ open: false, code: 'flag-unknown', reason: 'this test has no flags' }),
  evaluate: () => Promise.resolve({ value: 'hold' }),
};

/** Answers and ends at once: tests that call every operation have no time to follow one. */
const ENDED = new EventFeed(() => []);
ENDED.end();

/** What a file's tests have opened: also from inside a test, where no hook may be declared. */
const open: { close(): Promise<void> }[] = [];
afterAll(() => Promise.all(open.map((each) => each.close())));

/** The real application over real pools, listening on a free port of loopback until the file's tests are over. */
export async function serving(
  pool: pg.Pool,
  replaced: Partial<OperationContext> = {},
  options: Partial<ListenOptions> & HttpAppOptions = {},
): Promise<Served> {
  const logged: string[] = [];
  const deps: OperationContext = {
    control: pool,
    regionDatabases: databasesAt(pool, replaced.installed),
    feed: ENDED,
    receivers: 1,
    dropGate: () => Promise.reject(new Error('this test drops no gate')),
    metrics: createMetrics(),
    log: createLogger({ level: 'debug', to: { write: (line) => void logged.push(line) } }),
    flags: NO_FLAGS,
    jobs: () => [],
    installed: () => [],
    files: [directoryFiles],
    uploadBytes: 1_048_576,
    readiness: () => Promise.resolve([]),
    examine: () => Promise.resolve([]),
    ...replaced,
  };
  const { token } = await tokenOf(pool, { name: `test-${randomUUID()}`, role: 'admin' });
  const listening = await listen(createHttpApp(deps, options), { port: 0, ...options });
  open.push({
    close: () => {
      deps.feed.end();
      return listening.close();
    },
  });
  const call = (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${token}`);
    return fetch(listening.url + path, { ...init, headers });
  };
  const json: JsonCall = async (path, init) => answerOf(await call(path, init));
  return {
    url: listening.url,
    token,
    logged,
    deps,
    close: () => {
      deps.feed.end();
      return listening.close();
    },
    call,
    json,
    as: async (name, role, regions) => {
      const issued = await tokenOf(pool, { name, role, regions });
      return (path, init = {}) => {
        const headers = new Headers(init.headers);
        headers.set('authorization', `Bearer ${issued.token}`);
        return json(path, { ...init, headers });
      };
    },
  };
}

export async function answerOf(response: Response): Promise<Answer> {
  const type = response.headers.get('content-type') ?? '';
  const text = await response.text();
  // What is answered line by line is no object.
  const body = (/[/+]json\b/.test(type) ? JSON.parse(text) : {}) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, body };
}

/** A call that sends JSON, or an archive. */
export function post(body: unknown): RequestInit {
  if (body instanceof Uint8Array) return { method: 'POST', headers: { 'content-type': ARCHIVE_TYPE }, body };
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
}

/** Posts to what lies below `base`, as the principal whose call that is. */
export function poster(json: JsonCall, base = '/api/v1'): (path: string, body?: unknown) => Promise<Answer> {
  return (path, body = {}) => json(`${base}/${path}`, post(body));
}

const POLICY = `
job: domain-claim
schedule: '*/15 * * * *'
regions: [ap-south-1, eu-west-1, us-east-1]
guard:
  rules:
    - { kind: count, name: claims, change: claim }
`;

export interface HeardFlags {
  readonly desk: OperationFlags;
  readonly source: EmbeddedSource;
  close(): Promise<void>;
}

/** The real flags, heard from the database as in production: three of them, all off. */
export async function hearFlags(pool: pg.Pool): Promise<HeardFlags> {
  await applyPolicies(pool, [parsePolicyFile(POLICY, 'domain-claim.yaml')], 'test');
  const source = new EmbeddedSource(pool);
  const provider = new PortcullisProvider(source);
  await provider.initialize();
  const desk: OperationFlags = {
    ...embeddedDesk(pool, source),
    look: (name) => provider.look(name),
    evaluate: (name, unit) => provider.evaluateUnit(name, unit),
  };
  const heard = { desk, source, close: () => provider.onClose() };
  open.push(heard);
  return heard;
}

export interface RunSeed {
  readonly id: string;
  readonly job: string;
  readonly region: string;
  readonly status: string;
  readonly createdAt: string;
  readonly finishedAt: string | null;
}

/** A run's row as the run loop would leave it. */
export async function seedRun(pool: pg.Pool, seed: Partial<RunSeed> = {}): Promise<string> {
  const id = seed.id ?? randomUUID();
  const createdAt = seed.createdAt ?? new Date().toISOString();
  await pool.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, lanes, planned,
        applied, conflicts, admitted_units, created_at, planned_at, finished_at)
     values ($1, $2, '1.0.0_9f3c2a1b', $3, clock_timestamp() + random() * interval '100 years', 'manual', $4, 'done',
             'all applied', 'worker-1', clock_timestamp(), 1, '{"claim": 3}', '{"claim": 2}', 1, 12, $5, $5, $6)`,
    [
      id,
      seed.job ?? 'domain-claim',
      seed.region ?? 'eu-west-1',
      seed.status ?? 'succeeded',
      createdAt,
      seed.finishedAt === undefined ? createdAt : seed.finishedAt,
    ],
  );
  return id;
}

const OUTCOME = {
  ...{ id: 'o-1', job: 'domain-claim', region: 'eu-west-1', unit: 'org-1', kind: 'login-failed' },
  at: '2026-03-01T09:30:00Z',
};

const ALERTS = {
  ...{ version: '4', groupKey: '{}', receiver: 'portcullis', status: 'resolved' },
  alerts: [
    {
      ...{ status: 'resolved', fingerprint: '00c0ffee00c0ffee', annotations: {} },
      ...{ startsAt: '2026-03-01T09:30:00Z', endsAt: '2026-03-01T09:40:00Z' },
      labels: { alertname: 'ClaimsSpike', portcullis_job: 'domain-claim', portcullis_region: 'eu-west-1' },
    },
  ],
};

/** An archive of files with this text, by name. */
export async function archiveOf(contents: Readonly<Record<string, string>>): Promise<Buffer> {
  const files = Object.entries(contents).map(([name, content]): TarFile => {
    const bytes = Buffer.from(content);
    return { name, bytes: bytes.length, chunks: Readable.from([bytes]) };
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of tarOf(files)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const ARCHIVE = await archiveOf({
  'organisations.csv': `id,name,home_region\n${randomUUID()},Acme,eu-west-1\n`,
});

/** A body that each route which takes one accepts; for any other route, a harmless one. */
export function bodyFor(path: string): unknown {
  if (path.endsWith('/files')) return ARCHIVE;
  if (path.includes('/commands/')) return { region: 'eu-west-1', given: { domain: 'acme.com' } };
  if (path.endsWith('/notifications/test')) return {};
  if (path.includes('/rollouts/')) {
    const reason = 'test';
    if (path.endsWith('/approve')) return {};
    return path.endsWith('/start') || path.endsWith('/initial') ? { version: '9.9.9', reason } : { reason };
  }
  if (path.endsWith('/break-glass') || path.includes('/break-glass/')) {
    const reason = 'test';
    return path.endsWith('/revoke') ? { reason } : { version: '9.9.9', permille: 500, reason };
  }
  if (path.endsWith('/runs')) return { region: 'eu-west-1', dryRun: true };
  if (path.endsWith('/policies') || path.endsWith('/policies/diff'))
    return { files: [{ file: 'domain-claim.yaml', text: POLICY }] };
  if (path.endsWith('/revert')) return { revision: 1, reason: 'test' };
  if (/\/(approve|reject|restore)$/.test(path)) return { reason: 'test' };
  if (path.endsWith('/kill') || path.endsWith('/stop')) return { reason: 'test' };
  if (path.endsWith('/accept')) return { reason: 'test' };
  if (path.endsWith('/rebaseline')) return { region: 'eu-west-1', reason: 'test' };
  if (path.endsWith('/rearm')) return { region: 'eu-west-1', reason: 'test' };
  if (path.endsWith('/databases/confirm')) return { switchover: true, reason: 'test' };
  if (path.endsWith('/alertmanager')) return ALERTS;
  if (path.endsWith('/clear')) return { reason: 'test' };
  if (path.endsWith('/outcomes')) return { outcomes: [OUTCOME] };
  if (path.endsWith('/incidents')) return { job: 'domain-claim', title: 'test' };
  if (path.endsWith('/include')) return { run: INCLUDED };
  if (path.endsWith('/close')) return { conclusion: 'test', falseAlarm: true };
  if (/\/(un)?link$/.test(path)) return { issuer: 'https://id.example', subject: 'dora' };
  if (path.endsWith('/people')) return { name: 'dora', role: 'viewer' };
  if (path.endsWith('/tokens')) return { name: 'dora', role: 'viewer', owner: 'machine' };
  return { enabled: false, reason: 'test' };
}

/** Break-glass that is in force in eu-west-1: its id. */
export async function breakGlassIn(owner: pg.Pool): Promise<string> {
  const id = newShortId();
  await inTransaction(owner, (client) =>
    grantBreakGlass(client, {
      ...{ id, job: 'domain-claim', version: '9.9.9_99999999', regions: ['eu-west-1'], permille: 10 },
      ...{ forMs: 60_000, reason: 'test', requestedBy: 'ann', approvedBy: 'bob' },
    }),
  );
  return id;
}

/** A run that the tests of every operation include in an incident. */
export const INCLUDED = '5eed0000-0000-4000-8000-000000000000';
