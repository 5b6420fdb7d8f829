import type { RowShape } from '../csv/columns.js';
import { Faults } from '../csv/faults.js';
import { readRows } from '../csv/rows.js';
import { shown } from '../csv/shown.js';
import { timestamp, type Reader } from '../csv/values.js';
import type { CountedRun } from '../guard/count-history.js';

const MOST = 10_000_000;

const wholeNumber =
  (least: number): Reader =>
  (text) => {
    const value = /^\d{1,8}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= MOST) return { value: text };
    return { fault: `${shown(text)} is not a whole number from ${least} to ${MOST}` };
  };

const instant: Reader = (text) => {
  const reading = timestamp(text);
  if ('fault' in reading) return reading;
  const millis = instantMs(text);
  return Number.isNaN(millis) ? { fault: `${shown(text)} is no time that a run can have` } : reading;
};

/** As PostgreSQL reads it: in UTC where it names no zone. NaN for infinity. */
function instantMs(text: string): number {
  const [, date = text, time = '', zone = ''] = /^(\S+?)[T ]([\d:.]+)(Z|[+-][\d:]+)?$/.exec(text) ?? [];
  if (time === '') return Date.parse(date);
  const offset = zone.length === 3 ? `${zone}:00` : zone;
  return Date.parse(`${date}T${time}${offset === '' ? 'Z' : offset}`);
}

const SHAPE: RowShape = {
  columns: [
    { name: 'at', read: instant, type: 'timestamptz', needs: 'value' },
    { name: 'count', read: wholeNumber(0), type: 'integer', needs: 'value' },
    { name: 'units', read: wholeNumber(1), type: 'integer', needs: 'nothing', otherwise: '1' },
  ],
  lineFaults: () => [],
};

/**
 * Reads past runs from CSV: `at,count[,units]`, in any order. Throws CSV_INVALID with all faults and their
 * lines, or FILE_UNREADABLE.
 */
export async function readCountedRuns(file: string): Promise<CountedRun[]> {
  const faults = new Faults();
  const runs: CountedRun[] = [];
  for await (const { values } of readRows({ path: file }, SHAPE, faults)) {
    const [at, count, units] = values;
    if (at == null || count == null) continue;
    runs.push({ at: instantMs(at), count: Number(count), units: Number(units ?? 1) });
  }
  faults.throwIfAny('correct the lines that are named', 'nothing was judged');
  return runs;
}
