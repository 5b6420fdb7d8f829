import type { Command } from 'commander';
import type { AsOf } from '../../journal/as-of.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { instant } from '../instant.js';
import { withInvoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import type { Cell } from '../table.js';
import { time } from '../../kernel/words.js';

export function addAsOf(program: Command, context: Context): void {
  const command = leaf(
    program,
    'asof <subject>',
    'Show the values that a row had at a moment, and which run set them. A subject is a resource and a key.',
    ['portcullis asof account:a-17 --at 2026-03-01T09:30:00Z'],
  )
    .requiredOption('--at <time>', 'the moment (ISO 8601; UTC where it names no zone)', instant)
    .option('-r, --region <region>', 'where the row lives, if several regions’ databases have such a key')
    .action(async (text: string, { at, region }: { at: Date; region?: string }) => {
      const voice = voiceOf(context, command);
      const moment = at.toISOString();
      const { subject, ...found } = await withInvoke(context, 'look', (invoke) =>
        invoke('getAsOf', { subject: text, at: moment, region }),
      );
      voice.result({ subject, at: moment, ...found }, () => asOfText(voice, subject, at, found));
    });
}

function asOfText(voice: Voice, subject: string, at: Date, found: AsOf): string {
  const columns = Object.entries(found.image ?? {});
  return voice.facts([
    ['subject', subject],
    ['at', time(at)],
    ['known from', sourceText(found)],
    ...(found.image === null ? [['', { text: 'there was no such row', tone: 'warning' }] as const] : []),
    ...columns.map(([column, value]): readonly [string, Cell] => [
      column,
      value === null ? 'null' : String(value),
    ]),
  ]);
}

function sourceText({ from, run, job, version, kind, appliedAt }: AsOf): string {
  const which = `${kind ?? ''} of run ${run?.slice(0, 8) ?? ''} (${job ?? ''} ${version ?? ''})`;
  switch (from) {
    case 'change-before':
      return `set by ${which} at ${appliedAt ?? ''}`;
    case 'change-after':
      return `met by ${which} at ${appliedAt ?? ''}; no run had changed it before`;
    case 'row-now':
      return 'the row as it is now: no run has changed it';
  }
}
