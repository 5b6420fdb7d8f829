import { type FieldChange, isSame, type PolicyDiff } from '../flags/policy-diff.js';
import { printable } from './display-width.js';
import type { Paint } from './tone.js';
import { countOf, number } from '../kernel/words.js';

/** What applying policies would change, in lines such as those of a diff. */
export function diffsText(paint: Paint, diffs: readonly PolicyDiff[]): string {
  return diffs.map((diff) => diffText(paint, diff)).join('');
}

/** The settings that a summary names. */
const NAMED = 6;

/** The same in short: which settings change, and every region that opens or closes. */
export function diffsSummary(paint: Paint, diffs: readonly PolicyDiff[]): string {
  return diffs.map((diff) => diffSummary(paint, diff)).join('');
}

function diffSummary(paint: Paint, diff: PolicyDiff): string {
  if (isSame(diff)) return diffText(paint, diff);
  const { fields, flags } = diff;
  const heading = `${paint(diff.job, 'strong')}  ${printable(diff.file)}`;
  const more = fields.length > NAMED ? ` and ${number(fields.length - NAMED)} more (--full shows all)` : '';
  const named = fields.filter((_, at) => at < NAMED);
  const names = named.map(({ path }) => printable(path));
  const created = flags.filter(({ change }) => change === 'create').map(({ region }) => region);
  return [
    diff.change === 'new'
      ? `${heading}: new, ${countOf(fields.length, 'setting')} (--full shows all)`
      : `${heading}: ${countOf(fields.length, 'change')}`,
    ...(diff.change === 'new' || fields.length === 0 ? [] : [`  ${names.join(', ')}${more}`]),
    ...(created.length === 0
      ? []
      : [paint(`  + ${countOf(created.length, 'flag')}, switched off: ${created.join(', ')}`, 'good')]),
    ...flags.filter(({ change }) => change === 'close').map((flag) => flagLine(paint, diff.job, flag)),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

function diffText(paint: Paint, diff: PolicyDiff): string {
  const heading = `${paint(diff.job, 'strong')}  ${printable(diff.file)}`;
  if (isSame(diff)) return `${heading}: as it is in force\n`;
  const what = diff.change === 'new' ? 'new' : countOf(diff.fields.length, 'change');
  const lines = [
    `${heading}: ${what}`,
    ...diff.fields.map((field) => fieldLine(paint, field)),
    ...diff.flags.map((flag) => flagLine(paint, diff.job, flag)),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function flagLine(paint: Paint, job: string, { region, change }: PolicyDiff['flags'][number]): string {
  return change === 'create'
    ? paint(`  + flag ${job}.${region}: new, switched off`, 'good')
    : paint(`  - flag ${job}.${region}: switched off, the region is no longer in the policy`, 'bad');
}

function fieldLine(paint: Paint, { path, before, after }: FieldChange): string {
  const name = printable(path);
  if (before === undefined) return paint(`  + ${name}: ${valueText(after)}`, 'good');
  if (after === undefined) return paint(`  - ${name}: ${valueText(before)}`, 'bad');
  return paint(
    `  ~ ${name}: ${listChange(before, after) ?? `${valueText(before)} → ${valueText(after)}`}`,
    'warning',
  );
}

/** What came into a list and what left it; undefined where that is not all that changed. */
function listChange(before: unknown, after: unknown): string | undefined {
  if (!Array.isArray(before) || !Array.isArray(after)) return undefined;
  const [then, now] = [before.map(valueText), after.map(valueText)];
  const signed = [
    ...now.filter((value) => !then.includes(value)).map((value) => `+ ${value}`),
    ...then.filter((value) => !now.includes(value)).map((value) => `- ${value}`),
  ];
  return signed.length === 0 ? undefined : signed.join(', ');
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`;
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}
