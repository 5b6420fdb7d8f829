import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { impactOf } from '#dist/journal/impact.js';
import { inTurns, secondsOf, type Bench } from './bench.js';
import { byHand } from './on-copy.js';

const CHANGES = 1_000_000;
const LANES = 4;
const EACH = 20;
/** What a person waits for an answer. */
const LIMIT_S = 2;

/** The impact of a run that says nothing of products. */
export const impact = impactOfRun({
  name: 'impact',
  ours: 'the impact of a run of 1 M changes',
  reference: 'count(*) over the same changes',
  reach: 12,
  products: [],
});

/** … and of one whose rows are each used in two of four products. */
export const impactByProduct = impactOfRun({
  name: 'impact-products',
  ours: 'the same of rows that are used in 2 products each, by product too',
  reference: 'count(*) over the same changes joined with their uses',
  reach: 6,
  products: ['Jira', 'Confluence', 'Trello', 'Opsgenie'],
});

interface Asked extends Pick<Bench, 'name' | 'ours' | 'reference' | 'reach'> {
  /** Every second of them for each row, in turn; none: the run does not say. */
  readonly products: readonly string[];
}

function impactOfRun({ products, ...asked }: Asked): Bench {
  const template = asked.name.replace('-', '_');
  return {
    ...asked,
    unit: 's',
    ratio: 'growth',
    runs: 5,
    async measure(context) {
      const run = randomUUID();
      const filled = await context.server.template(template, (owner) => fill(owner, run, products));
      return byHand(context.server.copyOf(filled), 'workerUrl', (pool) =>
        inTurns(
          context,
          async () => {
            const seconds = await secondsOf(async () => {
              const { units, rows, byProduct } = await impactOf(pool, run);
              if (rows !== CHANGES || units !== CHANGES / EACH)
                throw new Error(`${rows} rows of ${units} units`);
              const uses = byProduct?.map((each) => each.rows) ?? [];
              if (uses.some((n) => n !== CHANGES / 2) || uses.length !== products.length)
                throw new Error(`the products have ${JSON.stringify(byProduct)}`);
            });
            if (seconds > LIMIT_S) context.progress(`${seconds.toFixed(2)} s is over ${LIMIT_S} s`);
            return seconds;
          },
          () => secondsOf(() => pool.query(products.length === 0 ? COUNT : COUNT_USES, [run])),
        ),
      );
    },
  };
}

const COUNT = 'select count(*) from portcullis_region.change where run = $1';
const COUNT_USES = `
  select count(*) from portcullis_region.change c join directory.product_use u on u.account_id = c.key
  where c.run = $1`;

async function fill(owner: pg.Pool, run: string, products: readonly string[]): Promise<void> {
  const usedIn = { table: 'directory.product_use', key: 'account_id', product: 'product' };
  const account = {
    ...{ table: 'directory.account', key: 'id', changes: ['state', 'organisation_id', 'claimed_at'] },
    ...{ compares: ['email'], ...(products.length > 0 && { usedIn }) },
  };
  await owner.query(
    `insert into portcullis_region.run
           (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, planned, applied,
            lanes, resources)
         values ($1, 'bench', '1.0.0_00000000', 'r1', clock_timestamp(), 'manual', 'succeeded', 'applied', 'made by the bench',
                 'bench', clock_timestamp(), '{}', '{}', $2, $3)`,
    [run, LANES, JSON.stringify({ account })],
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
  if (products.length === 0) return;
  await owner.query(
    `insert into directory.account (id, email, email_verified, home_region)
     select 'r1-acc-' || lpad(n::text, 8, '0'), format('person-%s@org-%s.example', n, n / $2::integer), true, 'r1'
     from generate_series(0, $1::integer - 1) n`,
    [CHANGES, EACH],
  );
  await owner.query(
    `insert into directory.product_use (account_id, product)
     select 'r1-acc-' || lpad(n::text, 8, '0'), product
     from generate_series(0, $1::integer - 1) n, unnest($2::text[]) with ordinality as each (product, place)
     where (n + place) % 2 = 0`,
    [CHANGES, products],
  );
}
