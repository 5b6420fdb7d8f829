import { countOf } from '../kernel/words.js';
import type { Voice } from './context.js';
import { printable, wrapTo } from './display-width.js';
import type { Tone } from './tone.js';

/** Something that was looked at. `not-checked`: it could not be looked at from here, and nothing is known of it. */
export interface ShownFinding {
  readonly check: string;
  readonly mark: 'ok' | 'fail' | 'warn' | 'not-checked';
  readonly found: string;
  readonly hint?: string | undefined;
}

const MARKS: Readonly<Record<ShownFinding['mark'], { sign: string; tone: Tone }>> = {
  ok: { sign: '✓', tone: 'good' },
  fail: { sign: '✗', tone: 'bad' },
  warn: { sign: '!', tone: 'warning' },
  'not-checked': { sign: '–', tone: 'quiet' },
};

/** Findings, one below the other, and how many problems these are. */
export function findingsText(voice: Voice, findings: readonly ShownFinding[]): string {
  const count = (mark: ShownFinding['mark']): number => findings.filter((each) => each.mark === mark).length;
  const [failed, warnings] = [count('fail'), count('warn')];
  const { columns } = voice.tableOptions();
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, mark, found, hint }) => {
    const { sign, tone } = MARKS[mark];
    const indent = ' '.repeat(width + 4);
    const wrapped = (text: string): string[] =>
      text.split('\n').flatMap((line) => wrapTo(printable(line), columns - indent.length));
    const [first = '', ...more] = wrapped(found);
    const hints = hint === undefined ? [] : wrapped(`hint: ${hint}`);
    return [
      `${voice.paint(sign, tone)} ${check.padEnd(width)}  ${first}`,
      ...more.map((line) => indent + line),
      ...hints.map((line) => indent + voice.paint(line, 'strong')),
    ];
  });
  const verdict =
    failed > 0
      ? voice.paint(countOf(failed, 'problem'), 'bad')
      : voice.paint(warnings > 0 ? 'No problems' : 'No problems found', 'good');
  const besides = warnings > 0 ? `, ${countOf(warnings, 'warning')}` : '';
  return `${lines.join('\n')}\n\n${verdict}${besides}\n`;
}
