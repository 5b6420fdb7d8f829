import type { RegionDatabase, RegionDatabases } from '../../src/regions/region-database.js';

/** Every region on one database. */
export function oneDatabase(regionDatabase: RegionDatabase): RegionDatabases {
  return { of: () => regionDatabase, all: () => [regionDatabase] };
}
