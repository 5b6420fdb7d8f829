import { defineJob, table } from 'portcullis';
import { dormantSince } from './dormant-since.js';
import { sample } from './sample.js';

/** Marks customers whom nobody has seen for two years as dormant, and drops sessions that have expired. */
export const dormantCleanup = defineJob({
  name: 'dormant-cleanup',
  version: '1.0.0',
  unit: { table: 'public.tenants', key: 'id', region: 'region' },
  resources: {
    session: table('public.sessions', { key: 'token', deletes: true, region: 'region' }),
    customer: table('public.customers', {
      key: 'id',
      changes: ['standing'],
      compares: ['last_seen', 'tenant_id'],
      region: 'region',
    }),
  },
  kinds: { dormant: 'customer', 'drop-session': 'session' },
  sample,
  commands: {
    seen: {
      summary: 'A customer counts as seen now, and no run marks them as dormant for two years.',
      takes: { customer: 'the id of a customer' },
      refuses: ({ customer = '' }) =>
        /^\d{1,18}$/.test(customer) ? undefined : { why: `${JSON.stringify(customer)} is no customer's id` },
      run: ({ sql, regions }, { customer = '' }) => sql`
        update public.customers set last_seen = now() where id = ${customer} and region = any(${regions})
        returning id::text as customer, region`,
    },
  },
  async *plan({ rows, region, units, clock }) {
    const customers = rows<{ id: string; standing: string; last_seen: string; tenant_id: string }>`
      select id, standing, last_seen, tenant_id from public.customers
      where region = ${region} and standing = 'active' and last_seen < ${dormantSince(clock.now())}
      order by id`;
    for await (const { id, ...before } of customers) {
      if (!units.has(before.tenant_id)) continue;
      yield {
        kind: 'dormant',
        resource: 'customer',
        key: id,
        unit: before.tenant_id,
        before,
        after: { standing: 'dormant' },
        evidence: { lastSeen: before.last_seen },
      };
    }
    const sessions = rows<{ token: string; tenant_id: string; expires_at: string }>`
      select * from public.sessions where region = ${region} and expires_at < ${clock.now()} order by token`;
    for await (const { token, ...before } of sessions) {
      if (!units.has(before.tenant_id)) continue;
      yield {
        kind: 'drop-session',
        resource: 'session',
        key: token,
        unit: before.tenant_id,
        before,
        after: null,
        evidence: { expired: before.expires_at },
      };
    }
  },
});
