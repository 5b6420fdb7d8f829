import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Bench } from './bench.js';
import { onCopy } from './on-copy.js';
import { directoryOf, REGION } from './sizes.js';
import { PLAIN, TRIGGERS, type BenchTable } from './tables.js';

const CHILD = fileURLToPath(new URL('memory-child.js', import.meta.url));
const MIB_PER_KIB = 1 / 1024;

export const memory = memoryOn(PLAIN);
export const memoryTriggers = memoryOn(TRIGGERS);

function memoryOn(table: BenchTable): Bench {
  return {
    name: `memory${table.suffix}`,
    ours: `peak memory of a process that runs 1 M changes${table.what}`,
    reference: 'of one that runs 10 k',
    unit: 'MiB',
    ratio: 'growth',
    reach: 1.3,
    runs: 3,
    async measure({ server, runs, progress, changes = 1_000_000 }) {
      const peakOf = (size: number): Promise<number> =>
        onCopy(directoryOf(server, size, table), async ({ workerUrl, plannerUrl }) => {
          const task = JSON.stringify({ workerUrl, plannerUrl, region: REGION, changes: size });
          const { stdout } = await promisify(execFile)(process.execPath, [CHILD], {
            env: { ...process.env, BENCH_TASK: task },
          });
          return Number(stdout) * MIB_PER_KIB;
        });
      const figures = { ours: [] as number[], reference: [] as number[] };
      // No warm-up: each run has a process of its own, from nothing.
      for (let turn = 1; turn <= runs; turn += 1) {
        const ours = await peakOf(changes);
        const reference = await peakOf(10_000);
        progress(`run ${turn} of ${runs}: ours ${ours.toFixed(1)}, reference ${reference.toFixed(1)}`);
        figures.ours.push(ours);
        figures.reference.push(reference);
      }
      return figures;
    },
  };
}
