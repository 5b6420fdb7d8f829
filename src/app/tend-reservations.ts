import type { Installation } from '../cli/app-port.js';
import { messageOf } from '../kernel/errors.js';
import { startPoller, type Poller } from '../kernel/poller.js';
import type { RegionDatabase } from '../regions/region-database.js';
import { anyUnique, createReservations, type Reservations } from '../worker/reservations.js';
import type { PlacedJob } from '../worker/worker.js';
import type { WiredPlatform } from './platform.js';

const BEAT_MS = 5_000;

/** Settles what runs have reserved that died, for the databases that this process reaches; one that is away waits. */
export function tendReservations(
  { control, regionDatabases }: Installation,
  { workerContext: { log } }: WiredPlatform,
  served: () => readonly PlacedJob[],
): Poller {
  const known = new Map<RegionDatabase, Reservations>();
  const tend = async (regionDatabase: RegionDatabase): Promise<void> => {
    if (!regionDatabase.open) return;
    const reservations = known.get(regionDatabase) ?? createReservations(control, regionDatabase.name);
    known.set(regionDatabase, reservations);
    const jobs = served().map(({ job: { definition }, policy }) => ({
      name: definition.name,
      regions: policy.regions.filter((region) => regionDatabases.of(region) === regionDatabase),
      resources: definition.resources,
    }));
    await reservations.tend(
      regionDatabase.worker,
      jobs.filter(({ regions, resources }) => regions.length > 0 && anyUnique(Object.values(resources))),
    );
  };
  return startPoller(
    BEAT_MS,
    async () => {
      await Promise.all(
        regionDatabases.all().map((regionDatabase) =>
          tend(regionDatabase).catch((error: unknown) => {
            log.error(
              { code: 'reservations-unsettled', database: regionDatabase.name, err: error },
              messageOf(error),
            );
          }),
        ),
      );
    },
    (error) => log.error({ code: 'reservations-unsettled', err: error }, messageOf(error)),
  );
}
