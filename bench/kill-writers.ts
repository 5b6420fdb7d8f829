/** Writers in a process of their own: applies one run's lanes, and prints how that ended. */
import { applyPlan } from '#dist/gate/write-path.js';
import { readApplyPlan } from '#dist/worker/apply-phase.js';
import type { Run } from '#dist/runs/election.js';
import { openPool } from '#dist/postgres/pool.js';

/** What each message asks for. */
export interface Writing {
  readonly run: Run;
  readonly batch: number;
}

/** How it ended, as the write path says. */
export interface Wrote {
  readonly code: string;
}

const pool = openPool(process.env['BENCH_URL'] ?? '', { name: 'bench writers', max: 40 });
const { signal } = new AbortController();

async function write({ run, batch }: Writing): Promise<void> {
  const plan = await readApplyPlan(pool, run);
  const end = await applyPlan(pool, { ...plan, batch, firstBatches: [], signal });
  const wrote: Wrote = { code: end.complete ? 'complete' : end.code };
  process.send?.(wrote);
}

process.on('message', (writing) => void write(writing as Writing));
process.on('disconnect', () => process.exit());
