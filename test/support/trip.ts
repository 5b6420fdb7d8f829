import { carryOutTrip, concludeTrip, type Tripped, type TripDatabases } from '../../src/containment/trip.js';
import type { Closing } from '../../src/containment/closing.js';
import { writeTrip, type TripOrder } from '../../src/containment/trip-row.js';

/** What a trip is to close whose evidence is its version's own. */
export const OWN: Closing = { close: 'candidate', why: 'the evidence is its own' };

/** Drops the gate for a rule that failed, from the first word to the last. */
export async function trip(regionDatabases: TripDatabases, order: TripOrder): Promise<Tripped> {
  const tripped = await carryOutTrip(
    regionDatabases,
    await writeTrip(regionDatabases.ownerOf(order.region), order),
  );
  await concludeTrip(regionDatabases, tripped);
  return tripped;
}
