import { inTurns, secondsOf, type Bench } from './bench.js';
import { claimPolicy, FIRST_BATCHES } from './claim-job.js';
import { WARM_UP } from './directory.js';
import { byHand, withWorker } from './on-copy.js';
import { claimJobOn, fillOn, named, TRIGGERS } from './tables.js';

const CHANGES = 1_000_000;
const REGION = 'r1';

/** All rows at once, with the same triggers: no plan, no journal, no fence, and no way back. */
const ONE_STATEMENT = `
  update directory.account set state = 'MANAGED', organisation_id = selected_by, claimed_at = now()
  where home_region = $1 and state = 'UNMANAGED' and selected_by is not null`;

export const million: Bench = {
  name: 'million',
  ours: 'a whole run of 1 M changes on a table with two triggers',
  reference: 'one SQL statement with the same triggers',
  unit: 's',
  ratio: 'growth',
  reach: 2,
  runs: 3,
  async measure(context) {
    const { changes = CHANGES } = context;
    const template = await context.server.template(named('million', TRIGGERS), (owner) =>
      fillOn(owner, TRIGGERS, REGION, changes),
    );
    const policy = claimPolicy([REGION, WARM_UP.region], FIRST_BATCHES);
    const ours = (): Promise<number> =>
      withWorker(context.server.copyOf(template), claimJobOn(TRIGGERS), async (worker, database) => {
        await worker.run(WARM_UP.region, policy, WARM_UP.accounts);
        await database.settle();
        return secondsOf(() => worker.run(REGION, policy, changes));
      });
    const reference = (): Promise<number> =>
      byHand(context.server.copyOf(template), 'ownerUrl', async (pool, database) => {
        await pool.query(ONE_STATEMENT, [WARM_UP.region]);
        await database.settle();
        let written = 0;
        const seconds = await secondsOf(async () => {
          written = (await pool.query(ONE_STATEMENT, [REGION])).rowCount ?? 0;
        });
        if (written !== changes) throw new Error(`${written} rows written, not ${changes}`);
        return seconds;
      });
    return inTurns(context, ours, reference);
  },
};
