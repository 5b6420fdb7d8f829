import type pg from 'pg';
import type { Outbox } from '../events/outbox.js';
import type { RegionDatabases } from './region-database.js';

/** Every outbox: the control database's, and each region database's. */
export function outboxesOf(control: pg.Pool, regionDatabases: RegionDatabases): readonly Outbox[] {
  return [
    { name: 'control', database: 'control', schema: 'portcullis_control', pool: control },
    ...regionDatabases.all().map(({ name, owner }): Outbox => ({
      name: `regions of ${name}`,
      database: name,
      schema: 'portcullis_region',
      pool: owner,
    })),
  ];
}
