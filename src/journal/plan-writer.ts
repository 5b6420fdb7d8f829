import { once } from 'node:events';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { storableJson } from '../base/text.js';
import { copySent } from '../store/bounded-pool.js';
import type { Change } from './change.js';
import { PlanTally, type PlanWritten } from './plan-tally.js';

/** How much text is gathered before it is handed to the socket. */
const CHUNK_CHARACTERS = 64 * 1024;

/**
 * Streams a run's changes into the journal by COPY, in the caller's transaction. Memory stays flat however
 * many there are: the next change is asked for when the database has taken the last ones. What is for
 * `unitsApart` is also counted by itself.
 */
export async function writePlan(
  client: pg.PoolClient,
  run: string,
  laneCount: number,
  changes: AsyncIterable<Change>,
  unitsApart: ReadonlySet<string>,
  onProgress?: () => void,
): Promise<PlanWritten> {
  const tally = new PlanTally(laneCount, unitsApart);
  const copy = client.query(
    copyFrom(`copy portcullis_region.change
      (run, lane, seq, resource, key, kind, unit, before, after, requires, evidence) from stdin`),
  );
  const failed = once(copy, 'error').then(([error]) => Promise.reject(error as Error));
  // Listened to below; without these a failure between two waits, or a second one, would count as unhandled.
  failed.catch(() => undefined);
  const copying = { over: false };
  copy.on('error', () => (copying.over = true));
  try {
    let chunk = '';
    for await (const change of changes) {
      const { lane, seq } = tally.take(change);
      chunk += copyLine(run, lane, seq, change);
      if (chunk.length >= CHUNK_CHARACTERS) {
        if (!copy.write(chunk)) await Promise.race([once(copy, 'drain'), failed]);
        chunk = '';
        onProgress?.();
      }
    }
    const finished = once(copy, 'finish');
    copy.end(chunk);
    copySent(client);
    await Promise.race([finished, failed]);
  } catch (error) {
    // Ends the COPY as failed, so that the connection is usable for the rollback. One that has failed by itself,
    // as when its connection is lost, is over: it has no connection any more to be ended on.
    if (!copy.destroyed && !copying.over) {
      copySent(client);
      copy.destroy(error instanceof Error ? error : undefined);
      await failed.catch(() => undefined);
    }
    throw error;
  }
  return tally.written();
}

function copyLine(run: string, lane: number, seq: number, change: Change): string {
  return (
    `${run}\t${lane}\t${seq}\t${escapeText(change.resource)}\t${escapeText(change.key)}` +
    `\t${escapeText(change.kind)}\t${escapeText(change.unit)}` +
    `\t${escapeJson(change.before)}\t${escapeJson(change.after)}` +
    `\t${escapeJson(requirements(change))}\t${escapeJson(change.evidence)}\n`
  );
}

/** Required values are kept as text, since they are compared as text: any type has one. */
function requirements(change: Change): object | null {
  if (change.requires === undefined || change.requires.length === 0) return null;
  return change.requires.map(({ resource, key, image }) => ({
    resource,
    key,
    image: Object.fromEntries(
      Object.entries(image).map(([column, value]) => [column, value === null ? null : String(value)]),
    ),
  }));
}

const SPECIAL = /[\\\t\n\r]/;

function escapeText(text: string): string {
  if (!SPECIAL.test(text)) return text;
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('\t', '\\t')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r');
}

/** JSON has no raw tabs or newlines; only its backslashes need another. */
function escapeJson(value: object | null): string {
  if (value === null) return '\\N';
  const json = storableJson(value);
  return json.includes('\\') ? json.replaceAll('\\', '\\\\') : json;
}
