/** A directory to plan over, and a world outside that answers from memory. Each test starts with both empty. */
import { afterAll, beforeEach } from '@jest/globals';
import type { Change, PlanContext } from '../../../src/sdk/contract.js';
import { rowsOf } from '../../../src/sdk/rows.js';
import type { Lookups } from '../../../src/jobs/domain-claim/lookups.js';
import { domainClaim } from '../../../src/jobs/domain-claim/job.js';
import { challengeName } from '../../../src/jobs/domain-claim/proof.js';
import type { PerspectiveAnswer, TxtAnswer } from '../../../src/lookup/dns.js';
import type { HttpsAnswer } from '../../../src/lookup/https.js';
import { openPlannerDatabase } from '../../../src/worker/planner-database.js';
import { testDatabase } from '../../support/database.js';

export const database = await testDatabase();
const planner = openPlannerDatabase(database.plannerUrl, 2);
afterAll(() => planner.close());

export const REGION = 'eu-west-1';
export const START_MS = Date.parse('2026-03-10T12:00:00Z');
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** The world outside: what DNS and HTTPS would answer, what was asked, and what time it is. */
export const world = {
  nowMs: START_MS,
  txt: new Map<string, TxtAnswer>(),
  pages: new Map<string, HttpsAnswer>(),
  asked: [] as string[],
};

beforeEach(async () => {
  await database.owner.query(
    `truncate directory.organisation, directory.account, directory.admin, directory.request, directory.domain cascade`,
  );
  world.nowMs = START_MS;
  world.txt.clear();
  world.pages.clear();
  world.asked = [];
});

/** A time relative to now, with microseconds that no Date could hold. */
export const at = (offsetMs: number) => new Date(world.nowMs + offsetMs).toISOString().replace('Z', '123Z');
export const tokenOf = (id: string) => Buffer.from(id.padEnd(16, '.')).toString('hex');

export async function insert(table: string, row: Readonly<Record<string, unknown>>): Promise<void> {
  const columns = Object.keys(row);
  await database.owner.query(
    `insert into directory.${table} (${columns.join(', ')}) values (${columns.map((_, index) => `$${index + 1}`).join(', ')})`,
    Object.values(row),
  );
}

/** An organisation with consent, and an admin whose own address lies elsewhere. */
export async function organisation(id: string, over: Readonly<Record<string, unknown>> = {}): Promise<void> {
  await insert('organisation', {
    id,
    name: id,
    home_region: REGION,
    consent: 'all',
    consent_at: at(-90 * DAY_MS),
    ...over,
  });
  await account(`admin-of-${id}`, { email: `admin@${id}-staff.org` });
  await insert('admin', { organisation_id: id, account_id: `admin-of-${id}`, since: at(-400 * DAY_MS) });
}

export async function account(id: string, over: Readonly<Record<string, unknown>> = {}): Promise<void> {
  await insert('account', {
    id,
    email: `${id}@acme.com`,
    email_verified: true,
    home_region: REGION,
    ...over,
  });
}

/** A domain that is due, with a request by its organisation's admin and a token named after the domain. */
export async function domain(
  id: string,
  owner: string,
  over: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const name = over['name'] ?? 'acme.com';
  await insert('request', {
    id: `request-${id}`,
    organisation_id: owner,
    domain_name: name,
    requested_by: `admin-of-${owner}`,
    requested_at: at(-2 * DAY_MS),
    token: tokenOf(id),
    token_issued_at: at(-2 * DAY_MS + 1_000),
  });
  await insert('domain', {
    id,
    name,
    organisation_id: owner,
    home_region: REGION,
    request_id: `request-${id}`,
    next_check_at: at(-60_000),
    ...over,
  });
}

/** What a domain that was verified yesterday has. */
export const verified = () => ({
  state: 'VERIFIED',
  verified_at: at(-DAY_MS),
  proof: 'dns',
  proof_seen_at: at(-DAY_MS),
  check_started_at: at(-DAY_MS - 50),
  checked_at: at(-DAY_MS),
  check_count: 1,
  next_check_at: at(HOUR_MS),
});

export function publish(name: string, ...ids: string[]): void {
  world.txt.set(challengeName(name), {
    kind: 'records',
    values: ['v=spf1 -all', ...ids.map((id) => `token=${tokenOf(id)}`)],
    ttlSeconds: 60,
  });
}

const dns: Lookups['dns'] = {
  txt: (name): Promise<readonly PerspectiveAnswer[]> => {
    world.asked.push(name);
    const absent: TxtAnswer = { kind: 'absent', code: 'NXDOMAIN', negativeTtlSeconds: 900 };
    const answer = world.txt.get(name) ?? absent;
    return Promise.resolve(
      ['192.0.2.1:53', '192.0.2.2:53', '192.0.2.3:53'].map((perspective) => ({ perspective, answer })),
    );
  },
};

const https: Lookups['https'] = {
  getText: (url) => Promise.resolve(world.pages.get(url) ?? { kind: 'indeterminate', code: 'UNREACHABLE' }),
};

/** What a test has otherwise. */
type Over = Partial<Omit<PlanContext, 'clients'> & Lookups>;

export function context(
  units: readonly string[],
  { dns: ownDns = dns, ...rest }: Over = {},
): PlanContext<Lookups> {
  return {
    region: REGION,
    units: new Set(units),
    rows: rowsOf(planner),
    clients: { dns: ownDns, https },
    clock: { now: () => new Date(world.nowMs) },
    signal: new AbortController().signal,
    heldElsewhere: () => Promise.resolve(undefined),
    progressed: () => undefined,
    ...rest,
  };
}

export async function plan(units: readonly string[], over: Over = {}): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const change of domainClaim.plan(context(units, over))) changes.push(change);
  return changes;
}

export const gist = (changes: readonly Change[]) =>
  changes.map(({ kind, key }) => `${kind} ${String(key)}`).toSorted();

/** Writes changes as the platform does, compare and set; answers the keys of those that no longer fit. */
export async function apply(changes: readonly Change[]): Promise<string[]> {
  const conflicts: string[] = [];
  for (const { resource, key, before, after } of changes) {
    const columns = (image: Change['before']) => Object.keys(image ?? {}).join(', ');
    const table = `directory.${resource}`;
    const { rowCount } = await database.owner.query(
      `update ${table} t
       set (${columns(after)}) = (select ${columns(after)} from jsonb_populate_record(null::${table}, $2))
       where id = $1 and (select row(${columns(before)}) from jsonb_populate_record(t, '{}'))
         is not distinct from (select row(${columns(before)}) from jsonb_populate_record(null::${table}, $3))`,
      [key, JSON.stringify(after), JSON.stringify(before)],
    );
    if (rowCount === 0) conflicts.push(String(key));
  }
  return conflicts;
}

export async function states(table: 'domain' | 'account'): Promise<Record<string, string>> {
  const { rows } = await database.owner.query<{ id: string; state: string }>(
    `select id, state from directory.${table}`,
  );
  return Object.fromEntries(rows.map(({ id, state }) => [id, state]));
}
