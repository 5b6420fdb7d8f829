import type pg from 'pg';
import { storableJson } from '../kernel/text.js';
import { CopyIn, copyField } from '../postgres/copy-in.js';
import { GENERATED, keyText, type KeyedChange } from './change.js';
import { PlanTally, type PlanWritten } from './plan-tally.js';
import { drawnKey } from './write-batch.js';

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
  changes: AsyncIterable<KeyedChange>,
  unitsApart: ReadonlySet<string>,
  onProgress?: () => void,
): Promise<PlanWritten> {
  const tally = new PlanTally(laneCount, unitsApart);
  const copy = new CopyIn(
    client,
    `copy portcullis_region.change
      (run, lane, seq, resource, key, kind, unit, before, after, requires, evidence) from stdin`,
  );
  try {
    let chunk = '';
    for await (const change of changes) {
      const { lane, seq } = tally.take(change);
      chunk += copyLine(run, lane, seq, change);
      if (chunk.length >= CHUNK_CHARACTERS) {
        await copy.write(chunk);
        chunk = '';
        onProgress?.();
      }
    }
    await copy.write(chunk);
    await copy.end();
  } catch (error) {
    await copy.abort(error);
    throw error;
  }
  return tally.written();
}

function copyLine(run: string, lane: number, seq: number, change: KeyedChange): string {
  const key = change.key === GENERATED ? drawnKey(lane, seq) : change.key;
  return (
    `${run}\t${lane}\t${seq}\t${copyField(change.resource)}\t${copyField(key)}` +
    `\t${copyField(change.kind)}\t${copyField(change.unit)}` +
    `\t${escapeJson(change.before)}\t${escapeJson(change.after)}` +
    `\t${escapeJson(requirements(change))}\t${escapeJson(change.evidence)}\n`
  );
}

/** Required values are kept as text, since they are compared as text: any type has one. */
function requirements(change: KeyedChange): object | null {
  if (change.requires === undefined || change.requires.length === 0) return null;
  return change.requires.map(({ resource, key, image }) => ({
    resource,
    key: keyText(key),
    image: Object.fromEntries(
      Object.entries(image).map(([column, value]) => [column, value === null ? null : String(value)]),
    ),
  }));
}

/** JSON has no raw tabs or newlines; only its backslashes need another. */
function escapeJson(value: object | null): string {
  if (value === null) return '\\N';
  const json = storableJson(value);
  return json.includes('\\') ? json.replaceAll('\\', '\\\\') : json;
}
