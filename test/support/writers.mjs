/**
 * A process of writers, for the race tests: each message names a run and the lanes of it that are this process'
 * to apply, each over a connection of its own, through the real write path. Answers how that ended.
 */
import { applyPlan } from '../../dist/gate/write-path.js';
import { readApplyPlan } from '../../dist/worker/apply-phase.js';
import { openPool } from '../../dist/postgres/pool.js';

const pool = openPool(process.env['WRITERS_URL'] ?? '', { name: 'writers', max: 32 });
const { signal } = new AbortController();

process.on('message', async ({ run, lanes, batch }) => {
  try {
    const plan = await readApplyPlan(pool, run);
    const mine = plan.lanes.filter(({ lane }) => lanes.includes(lane));
    process.send(await applyPlan(pool, { ...plan, lanes: mine, batch, firstBatches: [], signal }));
  } catch (error) {
    process.send({ complete: false, code: 'error', reason: String(error) });
  }
});
process.on('disconnect', () => process.exit());
