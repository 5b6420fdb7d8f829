import { formatDurationMs } from '../kernel/duration.js';
import { time } from '../kernel/words.js';
import type { FlagView, SourceView } from '../flags/flag-desk.js';
import type { Voice } from './context.js';
import { printable, wrapTo } from './display-width.js';
import { toneOf, type Tone } from './tone.js';

export interface Toned {
  readonly text: string;
  readonly tone: Tone;
}

/** `on`, `off`, `held` (on, but no version has a share) or `malformed`. */
export function flagStateText(flag: Pick<FlagView, 'enabled' | 'variants' | 'malformed'>): Toned {
  const state =
    flag.malformed !== undefined
      ? 'malformed'
      : !flag.enabled
        ? 'off'
        : flag.variants.length === 0
          ? 'held'
          : 'on';
  return { text: state, tone: toneOf(state) };
}

/** The same, or that there is no flag, or that nobody here knows. */
export function flagCell(flag: FlagView | null, { heardAt }: SourceView): Toned {
  if (flag !== null) return flagStateText(flag);
  return heardAt === null ? { text: 'unknown', tone: 'warning' } : { text: 'none', tone: 'bad' };
}

/** Where flags come from, where that is not the control database, and how old they are; empty where nothing is to be said. */
export function sourceText(voice: Voice, source: SourceView): string {
  const { url, problem, heardAt, ageMs, polledMs } = source;
  if (url === null && problem === null && polledMs === null) return '';
  const from = url === null ? 'the control database' : `Unleash at ${url}`;
  const age =
    heardAt === null || ageMs === null
      ? 'never heard by this process'
      : `last heard ${formatDurationMs(ageMs)} ago`;
  const how =
    polledMs === null
      ? ''
      : `, asked every ${polledMs / 1_000} s${url === null ? ' (a connection pooler passes no changes on; PORTCULLIS_DIRECT_DATABASE_URL leads past it)' : ''}`;
  const text =
    problem === null
      ? `Flags: ${from}, ${age}${how}`
      : `Flags: ${from} does not answer: ${problem.reason}; since ${time(problem.since)}, ${age}`;
  const { columns } = voice.tableOptions();
  const lines = wrapTo(printable(text), columns);
  return `${lines.map((line) => voice.paint(line, problem === null ? 'plain' : 'bad')).join('\n')}\n\n`;
}
