/* eslint-disable @typescript-eslint/require-await */
/**
 * Declarations of jobs, as a team writes them. They are compiled, and never run: what must not compile stands under
 * `@ts-expect-error`, which the compiler refuses where it does compile.
 */
import { defineConfig, defineJob, env, table } from '../../../src/sdk/index.js';

const unit = { table: 'public.tenants', key: 'id', region: 'region' } as const;
const resources = {
  customer: table('public.customers', { key: 'id', changes: ['status', 'note'], compares: ['last_seen'] }),
  session: table('public.sessions', { key: 'id', deletes: true }),
};
const kinds = { dormant: 'customer', 'drop-session': 'session' } as const;
const before = { status: 'active', note: null, last_seen: '2026-01-01' };
const after = { status: 'dormant', note: 'asleep' };
const why = { evidence: {}, unit: 'u', key: 'k' };

export const typed = defineJob({
  name: 'dormant-cleanup',
  version: '1.0.0',
  unit,
  resources: {
    customer: table('public.customers', { key: 'id', changes: ['status'], compares: ['last_seen'] }),
    session: table('public.sessions', { key: 'id', deletes: true }),
  },
  kinds: { dormant: 'customer', 'drop-session': 'session' },
  clients: () => ({ mail: { bounced: (address: string) => Promise.resolve(address.length > 0) } }),
  async *plan({ rows, region, units, clients, clock, signal }) {
    signal.throwIfAborted();
    const idle = rows<{ id: string; tenant: string; status: string; last_seen: string | null }>`
      select id, tenant, status, last_seen from customers where region = ${region} and seen < ${clock.now()}`;
    for await (const { id, tenant, ...columns } of idle) {
      if (!units.has(tenant) || !(await clients.mail.bounced(id))) continue;
      yield {
        kind: 'dormant',
        resource: 'customer',
        key: id,
        unit: tenant,
        before: columns,
        after: { status: 'dormant' },
        requires: [{ resource: 'session', key: 's', image: {} }],
        evidence: { lastSeen: columns.last_seen },
      };
    }
    for await (const { id, tenant, ...row } of rows(`select * from sessions where region = $1`, [region])) {
      yield {
        kind: 'drop-session',
        resource: 'session',
        key: String(id),
        unit: String(tenant),
        before: row,
        after: null,
        evidence: {},
      };
    }
    // @ts-expect-error There is no such client.
    yield* clients.smtp;
  },
});

export const untyped = [
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources, kinds },
    // @ts-expect-error There is no kind of that name.
    async *plan() {
      yield { ...why, kind: 'sleepy', resource: 'customer', before, after };
    },
  }),
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources, kinds },
    // @ts-expect-error There is no resource of that name.
    async *plan() {
      yield { ...why, kind: 'dormant', resource: 'client', before, after };
    },
  }),
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources, kinds },
    // @ts-expect-error That kind changes another resource.
    async *plan() {
      yield { ...why, kind: 'drop-session', resource: 'customer', before, after };
    },
  }),
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources, kinds },
    // @ts-expect-error That column is compared, and never changed.
    async *plan() {
      yield { ...why, kind: 'dormant', resource: 'customer', before, after: { ...after, last_seen: null } };
    },
  }),
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources, kinds },
    // @ts-expect-error That column is not declared.
    async *plan() {
      yield { ...why, kind: 'dormant', resource: 'customer', before: { ...before, email: 'x' }, after };
    },
  }),
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources, kinds },
    // @ts-expect-error A column is missing.
    async *plan() {
      yield { ...why, kind: 'dormant', resource: 'customer', before, after: { status: 'dormant' } };
    },
  }),
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources, kinds },
    // @ts-expect-error Its rows are deleted, and never changed.
    async *plan() {
      yield { ...why, kind: 'drop-session', resource: 'session', before: {}, after: {} };
    },
  }),
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources, kinds },
    // @ts-expect-error It rests on a column that is not declared.
    async *plan() {
      const requires = [{ resource: 'customer', key: 'k', image: { email: 'x' } }] as const;
      yield { ...why, kind: 'dormant', resource: 'customer', before, after, requires };
    },
  }),
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources },
    // @ts-expect-error There is no such resource.
    kinds: { dormant: 'client' },
    async *plan() {},
  }),
];

const composite = table('public.sessions', { key: ['tenant', 'id'], deletes: true, cascades: ['public.e'] });
export const keyed = [
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources: { session: composite }, kinds: { drop: 'session' } },
    async *plan() {
      yield { ...why, kind: 'drop', resource: 'session', key: ['t', 1], before: {}, after: null };
    },
  }),
  defineJob({
    ...{ name: 'a', version: '1.0.0', unit, resources: { session: composite }, kinds: { drop: 'session' } },
    // @ts-expect-error A key of two columns has two values.
    async *plan() {
      yield { ...why, kind: 'drop', resource: 'session', key: ['t'], before: {}, after: null };
    },
  }),
];
// @ts-expect-error A key has a column.
export const keyless = () => table('public.sessions', { key: [], deletes: true });
// @ts-expect-error There is no such option.
export const cascading = () => table('s', { key: 'id', deletes: true, cascade: ['e'] });

export const config = defineConfig({
  jobs: [typed],
  databases: { crm: { url: env('PORTCULLIS_DATABASE_URL_CRM') } },
});
// @ts-expect-error The address itself does not stand in the configuration.
export const leaking = () => defineConfig({ jobs: [], databases: { crm: { url: 'postgres://x' } } });
