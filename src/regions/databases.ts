import type pg from 'pg';
import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { countOf } from '../kernel/words.js';
import { requireRegion } from '../kernel/unknown-name.js';
import { hidesIdentity, readDatabase } from '../gate/database.js';
import { gatesOf } from '../containment/gates-of.js';
import { countUnrecorded } from '../containment/unrecorded-kill.js';
import { countUnrecordedTrips } from '../containment/trip-row.js';
import { queryRegions } from './query-regions.js';
import type { RegionDatabase, RegionDatabases } from './region-database.js';
import { count, named, isoTime } from '../kernel/schema.js';
import { viewOf } from '../postgres/view.js';

/** A region database as people and programs read it. */
export const DatabaseView = named(
  'Database',
  z.strictObject({
    database: z.string().describe('`control`, or the variable that holds its address'),
    identity: z
      .string()
      .describe("the cluster's identifier and its timeline; `unknown` for what the service hides"),
    confirmed: z.boolean().describe('whether runs and restores may write to it'),
    last: z.string().nullable().describe('the database that was confirmed last'),
    lastConfirmedAt: isoTime.nullable(),
    switchoverUntil: isoTime.nullable().describe('until when another one is confirmed beforehand'),
    hidden: z.boolean().describe('whether the service hides the identity, so that a failover goes unnoticed'),
    unrecordedKills: count.describe('kills that hold and are not in the audit log yet'),
    unrecordedTrips: count.describe('trips that are neither in the audit log nor have an incident yet'),
  }),
);
export type DatabaseView = z.infer<typeof DatabaseView>;

/** Every region database, and which of them could not be asked. */
export async function listDatabases(
  control: pg.Pool,
  regionDatabases: RegionDatabases,
): Promise<{ readonly databases: readonly DatabaseView[]; readonly unreachable: readonly string[] }> {
  const { answers, unreachable } = await queryRegions(regionDatabases, async ({ owner }) => ({
    ...(await readDatabase(owner)),
    unrecordedKills: await countUnrecorded(owner),
    unrecordedTrips: await countUnrecordedTrips(control, owner),
  }));
  return {
    databases: answers.map(({ regionDatabase, answer }) =>
      viewOf(DatabaseView, { database: regionDatabase.name, ...answer, hidden: hidesIdentity(answer) }),
    ),
    unreachable: unreachable.map(({ database }) => database),
  };
}

/**
 * The database that a confirmation is meant for: the one of a region, or the only one. Throws REGION_UNKNOWN, or
 * REQUEST_INVALID where there are several and no region is named.
 */
export async function databaseMeant(
  control: pg.Pool,
  regionDatabases: RegionDatabases,
  region: string | undefined,
): Promise<RegionDatabase> {
  if (region !== undefined) {
    requireRegion(region, [...new Set([...(await gatesOf(control)).values()].flat())].sort());
    return regionDatabases.of(region);
  }
  const [only, ...others] = regionDatabases.all();
  if (only && others.length === 0) return only;
  throw new PortcullisError('REQUEST_INVALID', 'there are several region databases', {
    hint: 'name a region of the one that is meant',
  });
}

/** That kills and trips hold and are not on record yet; undefined where there are none. */
export function unrecordedText({
  kills,
  trips,
}: {
  readonly kills: number;
  readonly trips: number;
}): string | undefined {
  if (kills + trips === 0) return undefined;
  const what = [
    ...(kills === 0 ? [] : [countOf(kills, 'kill')]),
    ...(trips === 0 ? [] : [countOf(trips, 'trip')]),
  ];
  return `${what.join(' and ')} ${kills + trips === 1 ? 'holds and is' : 'hold and are'} not in the audit log yet`;
}
