import { randomUUID } from 'node:crypto';
import { afterAll } from '@jest/globals';
import type pg from 'pg';
import { PortcullisError } from '../../src/base/errors.js';
import { createHttpApp } from '../../src/http/app.js';
import type { FlagDesk, FlagInfo, HttpDeps } from '../../src/http/deps.js';
import { listen, type Listening, type ListenOptions } from '../../src/http/listen.js';
import { issueToken } from '../../src/store/api-tokens.js';
import { createLogger } from '../../src/telemetry/log.js';
import { createMetrics } from '../../src/telemetry/metrics.js';

export interface Served {
  readonly url: string;
  readonly token: string;
  /** Every line logged so far. */
  readonly logged: string[];
  readonly deps: HttpDeps;
  close(): Promise<void>;
  /** A call with the token. */
  call(path: string, init?: RequestInit): Promise<Response>;
  /** A call with the token whose answer is JSON, whatever its status. */
  json(path: string, init?: RequestInit): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** What a file's tests have opened: also from inside a test, where no hook may be declared. */
const open: Listening[] = [];
afterAll(() => Promise.all(open.map((listening) => listening.close())));

/** The real application over real pools, listening on a free port of loopback until the file's tests are over. */
export async function serving(
  pool: pg.Pool,
  replaced: Partial<HttpDeps> = {},
  options: Partial<ListenOptions> = {},
): Promise<Served> {
  const logged: string[] = [];
  const deps: HttpDeps = {
    pools: { control: pool, region: pool },
    metrics: createMetrics(),
    log: createLogger({ level: 'debug', to: { write: (line) => void logged.push(line) } }),
    flags: deskOf([]),
    jobs: () => [],
    readiness: () => Promise.resolve([]),
    ...replaced,
  };
  const { token } = await issueToken(pool, `test-${randomUUID()}`);
  const listening = await listen(createHttpApp(deps), { port: 0, ...options });
  open.push(listening);
  const call = (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${token}`);
    return fetch(listening.url + path, { ...init, headers });
  };
  return {
    url: listening.url,
    token,
    logged,
    deps,
    close: listening.close,
    call,
    json: async (path, init) => answerOf(await call(path, init)),
  };
}

export async function answerOf(response: Response): Promise<Answer> {
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, body };
}

export function post(body: unknown): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
}

/** Flags held in memory: what the HTTP room asks of the flag room, and no more. */
export function deskOf(initial: readonly FlagInfo[]): FlagDesk {
  const flags = new Map(initial.map((flag) => [flag.name, flag]));
  return {
    list: () => Promise.resolve([...flags.values()]),
    look: (name) =>
      flags.get(name)?.enabled === true
        ? { open: true }
        : { open: false, code: 'flag-off', reason: `${name} is off` },
    set({ job, region, ifRevision, ...change }) {
      const flag = flags.get(`${job}.${region}`);
      if (flag === undefined) {
        return Promise.reject(new PortcullisError('FLAG_UNKNOWN', `no flag ${job}.${region}`));
      }
      if (ifRevision !== undefined && ifRevision !== flag.revision) {
        return Promise.reject(new PortcullisError('FLAG_REVISION_STALE', `at revision ${flag.revision}`));
      }
      const next = { ...flag, ...change, revision: flag.revision + 1, changedAt: new Date().toISOString() };
      flags.set(flag.name, next);
      return Promise.resolve(next);
    },
  };
}

export function flag(region: string, enabled = false): FlagInfo {
  return {
    name: `domain-claim.${region}`,
    job: 'domain-claim',
    region,
    enabled,
    variants: enabled ? [{ version: '1.0.0+9f3c2a1b', permille: 1000 }] : [],
    revision: 1,
    reason: 'set up',
    changedBy: 'test',
    changedAt: '2026-01-01T00:00:00.000Z',
  };
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
     values ($1, $2, '1.0.0+9f3c2a1b', $3, clock_timestamp() + random() * interval '100 years', 'manual', $4, 'done',
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
