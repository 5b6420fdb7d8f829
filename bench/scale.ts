import { median, secondsOf, type Bench } from './bench.js';
import { claimJob, claimPolicy, FIRST_BATCHES } from './claim-job.js';
import { WARM_UP } from './directory.js';
import type { BenchServer } from './server.js';
import { directoryOf, REGION, SIZES, type Size } from './sizes.js';
import { withWorker } from './on-copy.js';

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
    const costs = new Map<Size, number[]>(SIZES.map((size) => [size, []]));
    for (let turn = 0; turn <= runs; turn += 1) {
      // The first turn warms up, and the largest run has nothing to add to that.
      for (const size of turn === 0 ? SIZES.slice(0, 2) : SIZES) {
        const cost = await costOf(server, size);
        const counts = turn === 0 ? 'warm-up' : `run ${turn} of ${runs}`;
        progress(`${counts}: ${cost.toFixed(1)} µs a change of ${size}`);
        if (turn > 0) costs.get(size)?.push(cost);
      }
    }
    const byCost = [...costs.values()].toSorted((a, b) => median(a) - median(b));
    return { ours: byCost.at(-1) ?? [], reference: byCost[0] ?? [] };
  },
};

/** Microseconds a change of one whole run. */
function costOf(server: BenchServer, size: Size): Promise<number> {
  return withWorker(directoryOf(server, size), claimJob(), async (worker, database) => {
    const policy = claimPolicy([REGION, WARM_UP.region], FIRST_BATCHES);
    await worker.run(WARM_UP.region, policy, WARM_UP.accounts);
    await database.settle();
    const seconds = await secondsOf(() => worker.run(REGION, policy, size));
    return (seconds / size) * MICROSECONDS;
  });
}
