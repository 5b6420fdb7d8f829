import type pg from 'pg';
import { z } from 'zod';
import { Evidence, Image, isoTime } from '../kernel/schema.js';
import { storableJson } from '../kernel/text.js';
import { STAGES, type Stage } from '../containment/consequences.js';
import { VERDICTS, type Judged } from '../containment/verdict.js';
import { viewColumns, viewOf } from '../postgres/view.js';
import { writeSaid } from '../containment/without-evidence.js';

/** What a rule said of a run. */
export const VerdictView = z.strictObject({
  stage: z.enum(STAGES),
  rule: z.string(),
  verdict: z.enum(VERDICTS),
  reason: z.string().describe('in words, with the figures'),
  figures: Image.describe('what it was said on'),
  evidence: z.array(Evidence).readonly().describe('the first rows that broke an invariant'),
  at: isoTime,
});
export type VerdictView = z.infer<typeof VerdictView>;

/** Keeps what rules said of a run at a stage; what they said of it there before is replaced. */
export async function writeVerdicts(
  client: pg.Pool | pg.PoolClient,
  run: string,
  stage: Stage,
  judged: readonly Judged[],
): Promise<void> {
  if (judged.length === 0) return;
  await writeSaid(client, judged, (said) =>
    client.query(
      `insert into portcullis_region.verdict (run, stage, rule, verdict, reason, figures, evidence, state)
     select $1, $2, rule, verdict, reason, figures, coalesce(evidence, '[]'), state
     from jsonb_to_recordset($3)
       as v (rule text, verdict text, reason text, figures jsonb, evidence jsonb, state jsonb)
     on conflict (run, stage, rule) do update
     set verdict = excluded.verdict, reason = excluded.reason, figures = excluded.figures,
         evidence = excluded.evidence, state = excluded.state, at = clock_timestamp()`,
      [run, stage, storableJson(said)],
    ),
  );
}

/** What rules said of a run, in the order of its stages; within one, failures first. */
export async function verdictsOf(client: pg.Pool | pg.PoolClient, run: string): Promise<VerdictView[]> {
  const { rows } = await client.query<object>(
    `select ${viewColumns(VerdictView)} from portcullis_region.verdict
     where run = $1
     order by array_position(array['plan', 'apply', 'bake'], stage),
       array_position(array['fail', 'unreachable', 'no-data', 'too-few', 'pass'], verdict), rule`,
    [run],
  );
  return rows.map((row) => viewOf(VerdictView, row));
}
