import { text as textOf } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import type pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { planRun } from '#dist/worker/plan-phase.js';
import type { Change } from '#dist/sdk/contract.js';
import { inTransaction } from '#dist/postgres/pool.js';
import { inTurns, secondsOf, type Bench } from './bench.js';
import { claim, claimFlag, claimJob, claimPolicy } from './claim-job.js';
import { fillRegion } from './directory.js';
import { readUnclaimed } from './hand-written.js';
import { onCopy, withWorker } from './on-copy.js';

const CHANGES = 100_000;
const REGION = 'r1';
const CHUNK_CHARACTERS = 64 * 1024;

export const plan: Bench = {
  name: 'plan',
  ours: 'check and journal 100 k proposed changes',
  reference: 'COPY their text, same indexes',
  unit: 's',
  ratio: 'speed',
  reach: 0.5,
  runs: 5,
  async measure(context) {
    const flag = await claimFlag();
    const template = await context.server.template('plan', async (owner) => {
      await fillRegion(owner, REGION, CHANGES, flag);
      await owner.query('create table public.copied (like portcullis_region.change including all)');
    });
    const capped = claimPolicy([REGION], []);
    const policy = { ...capped, guard: { ...capped.guard, caps: [] } };
    // What a job proposes is at hand on both sides: reading the directory is the job's time.
    let changes: Change[] = [];
    let chunks: string[] = [];
    const job = claimJob(async function* () {
      yield* changes;
      await Promise.resolve();
    });
    const ours = (): Promise<number> =>
      withWorker(context.server.copyOf(template), job, async (worker, database) => {
        if (changes.length === 0) {
          const rows = await readUnclaimed(database.owner, REGION);
          changes = rows.map((row) => claim(row, '2026-01-01T00:00:00.000Z'));
        }
        const units = new Set(changes.map(({ unit }) => unit));
        const run = await worker.elect(REGION, policy);
        const leave = { units, epoch: 1, versionEpoch: 0, flagRevision: 1, asked: 1000, admitted: 1000 };
        const { signal } = new AbortController();
        await database.settle();
        const seconds = await secondsOf(() =>
          planRun(worker.platform, worker.job, policy, run, leave, signal),
        );
        if (chunks.length === 0) chunks = await journalText(database.owner);
        return seconds;
      });
    const reference = (): Promise<number> =>
      onCopy(context.server.copyOf(template), async (database) => {
        await database.settle();
        return secondsOf(() =>
          inTransaction(database.owner, async (client) => {
            await pipeline(
              Readable.from(chunks, { objectMode: false }),
              client.query(copyFrom('copy public.copied from stdin')),
            );
          }),
        );
      });
    return inTurns(context, ours, reference);
  },
};

/** The journal's rows as COPY's own text, in pieces as large as the platform sends. */
async function journalText(owner: pg.Pool): Promise<string[]> {
  const client = await owner.connect();
  try {
    const text = await textOf(client.query(copyTo('copy portcullis_region.change to stdout')));
    const lines = text.split('\n').length - 1;
    if (lines !== CHANGES) throw new Error(`${lines} rows in the journal, not ${CHANGES}`);
    const length = Math.ceil(text.length / CHUNK_CHARACTERS);
    return Array.from({ length }, (_, n) => text.slice(n * CHUNK_CHARACTERS, (n + 1) * CHUNK_CHARACTERS));
  } finally {
    client.release();
  }
}
