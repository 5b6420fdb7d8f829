import { randomUUID } from 'node:crypto';
import { impactOf } from '#dist/journal/impact.js';
import { inTurns, secondsOf, type Bench } from './bench.js';
import { byHand } from './on-copy.js';

const CHANGES = 1_000_000;
const LANES = 4;
const EACH = 20;
/** What a person waits for an answer. */
const LIMIT_S = 2;

export const impact: Bench = {
  name: 'impact',
  ours: 'the impact of a run of 1 M changes',
  reference: 'count(*) over the same changes',
  unit: 's',
  ratio: 'growth',
  reach: 12,
  runs: 5,
  async measure(context) {
    const run = randomUUID();
    const template = await context.server.template('impact', async (owner) => {
      await owner.query(
        `insert into portcullis_region.run
           (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, planned, applied, lanes)
         values ($1, 'bench', '1.0.0+00000000', 'r1', clock_timestamp(), 'manual', 'succeeded', 'applied', 'made by the bench',
                 'bench', clock_timestamp(), '{}', '{}', $2)`,
        [run, LANES],
      );
      await owner.query(
        `insert into portcullis_region.lane (run, lane, attempt, last_seq, applied_seq)
         select $1, lane, 1, $3 / $2, $3 / $2 from generate_series(0, $2::integer - 1) lane`,
        [run, LANES, CHANGES],
      );
      await owner.query(
        `insert into portcullis_region.batch (run, lane, from_seq, to_seq, attempt)
         select $1, lane, to_seq - 500, to_seq, 1
         from generate_series(0, $2::integer - 1) lane, generate_series(500, $3::integer / $2::integer, 500) to_seq`,
        [run, LANES, CHANGES],
      );
      await owner.query(
        `insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
         select $1, n % $2::integer, n / $2::integer + 1, 'account', 'r1-acc-' || lpad(n::text, 8, '0'), 'claim',
                'r1-org-' || lpad((n / $4::integer)::text, 6, '0'),
                jsonb_build_object('state', 'UNMANAGED', 'organisation_id', null, 'claimed_at', null,
                                   'email', format('person-%s@org-%s.example', n, n / $4::integer)),
                jsonb_build_object('state', 'MANAGED', 'organisation_id', 'r1-org-' || n / $4::integer,
                                   'claimed_at', '2026-03-01T09:30:00.000Z'),
                jsonb_build_object('consent', 'selected', 'by', 'r1-org-' || n / $4::integer)
         from generate_series(0, $3::integer - 1) n`,
        [run, LANES, CHANGES, EACH],
      );
    });
    return byHand(context.server.copyOf(template), 'workerUrl', (pool) =>
      inTurns(
        context,
        async () => {
          const seconds = await secondsOf(async () => {
            const { units, rows } = await impactOf(pool, run);
            if (rows !== CHANGES || units !== CHANGES / EACH)
              throw new Error(`${rows} rows of ${units} units`);
          });
          if (seconds > LIMIT_S) context.progress(`${seconds.toFixed(2)} s is over ${LIMIT_S} s`);
          return seconds;
        },
        () =>
          secondsOf(() => pool.query('select count(*) from portcullis_region.change where run = $1', [run])),
      ),
    );
  },
};
