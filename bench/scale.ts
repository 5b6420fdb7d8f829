import { median, secondsOf, type Bench } from './bench.js';
import { claimJob, claimPolicy, FIRST_BATCHES } from './claim-job.js';
import { regionOf, sizedDirectory, SIZES } from './sizes.js';
import { openWorker } from './worker.js';

const MICROSECONDS = 1_000_000;

export const scale: Bench = {
  name: 'scale',
  ours: 'whole runs of 10 k, 100 k, 1 M changes: the dearest change',
  reference: 'the cheapest change',
  unit: 'µs a change',
  ratio: 'growth',
  reach: 1.2,
  runs: 3,
  async measure({ server, runs, progress }) {
    const template = await sizedDirectory(server);
    const policy = claimPolicy(SIZES.map(regionOf), FIRST_BATCHES);
    const costs = new Map<number, number[]>(SIZES.map((changes) => [changes, []]));
    for (let turn = 0; turn <= runs; turn += 1) {
      const database = await server.copyOf(template);
      const worker = await openWorker(database, claimJob());
      try {
        // The first turn warms up, and the largest run has nothing to add to that.
        for (const changes of turn === 0 ? SIZES.slice(0, 2) : SIZES) {
          await database.settle();
          const seconds = await secondsOf(() => worker.run(regionOf(changes), policy, changes));
          const cost = (seconds / changes) * MICROSECONDS;
          progress(
            `${turn === 0 ? 'warm-up' : `run ${turn} of ${runs}`}: ${cost.toFixed(1)} µs a change of ${changes}`,
          );
          if (turn > 0) costs.get(changes)?.push(cost);
        }
      } finally {
        await worker.close();
        await database.drop();
      }
    }
    const byCost = [...costs.values()].toSorted((a, b) => median(a) - median(b));
    return { ours: byCost.at(-1) ?? [], reference: byCost[0] ?? [] };
  },
};
