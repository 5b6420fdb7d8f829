import { defineJob, table } from 'portcullis';

type Order = Readonly<Record<'tenant_id' | 'placed_on' | 'state' | 'total', string>> &
  Readonly<Record<'fee' | 'history', string | null>> & { readonly number: number };

/** Charges orders that are late, drops sessions that have ended with all that hangs on them, and leaves reminders. */
export const orderUpkeep = defineJob({
  name: 'order-upkeep',
  version: '1.0.0',
  unit: { table: 'shop.tenants', key: 'id', region: 'region' },
  resources: {
    reminder: table('shop.reminders', { key: 'id', changes: ['tenant_id', 'text'] }),
    order: table('shop.orders', {
      key: ['tenant_id', 'number', 'placed_on'],
      changes: ['state', 'fee', 'history'],
      compares: ['total'],
    }),
    session: table('shop.sessions', {
      key: 'id',
      deletes: true,
      cascades: ['shop.events', 'shop.notes', 'shop.tabs'],
    }),
  },
  kinds: { remind: 'reminder', late: 'order', 'drop-session': 'session' },
  async *plan({ rows, units }) {
    const orders = rows<Order>`
      select tenant_id, number, placed_on, state, fee, history, total from shop.orders
      where state = 'open' and placed_on < '2026-03-01' order by number`;
    for await (const { tenant_id, number, placed_on, ...before } of orders) {
      if (!units.has(tenant_id)) continue;
      yield {
        ...{ kind: 'late', resource: 'order', key: [tenant_id, number, placed_on], unit: tenant_id, before },
        ...{ after: { state: 'late', fee: '4.995', history: '{"late": 1.0}' }, evidence: { placed_on } },
      };
      if (number % 10 === 1)
        yield {
          ...{ kind: 'remind', resource: 'reminder', key: 'generated', unit: tenant_id, before: null },
          ...{ after: { tenant_id, text: `order ${number} is late` }, evidence: {} },
        };
    }
    const sessions = rows<{ id: number; tenant_id: string }>`
      select * from shop.sessions where ended order by id`;
    for await (const { id, ...before } of sessions) {
      if (!units.has(before.tenant_id)) continue;
      yield {
        ...{ kind: 'drop-session', resource: 'session', key: String(id), unit: before.tenant_id, before },
        ...{ after: null, evidence: {} },
      };
    }
  },
});
