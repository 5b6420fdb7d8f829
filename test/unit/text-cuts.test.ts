import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

/** What may be sliced with an end: ids and digests of plain ASCII, times as ISO 8601, up to a character that was found. */
const REVIEWED = [
  /[iI]d\.slice\(0, (8|18)\)|active(Run)?\.slice\(0, 8\)|\b(run|of|run\.restores)\??\.slice\(0, 8\)/,
  /\.restores\.slice\(0, 8\)|digest\('hex'\)\.slice\(0, \d+\)|subject\.slice\(0, 8\)/,
  /\b(hex|hash)\.slice\(/,
  // The last character, an ASCII one that was looked at.
  /\.slice\(0, -1\)/,
  // Hours, minutes and seconds of ISO 8601.
  /\btime\.slice\(0, 8\)/,
  /\b(at|toISOString\(\))\.slice\((0|5|11), 1[06]\)/,
  /HTTP\.slice\(0, read\.HTTP\.lastIndexOf\(':'\)\)/,
  /\b(table|each)\.slice\(0, (table|each)\.(last)?[iI]ndexOf\('[.:]'\)\)/,
  /text\.slice\(0, at\)/,
  /plain\.slice\(0, 3\)/,
  // Lists.
  /\b(rows|lines|known|order|regions|all|paths|issue\.path|path|failed|reasons|of|batch|values|SAMPLE_REGIONS|shown|between|quarantined|series|places|versions|runs|columns|pages|reached\.value|acts\]|findings|orders)\.slice\(/,
  /\)\.slice\(0, most\)|\.slice\(0, (MOST_LABELS|ROWS_TOLD|RULES_TOLD|SHOWN_FAULTS|before)\)/,
];
/** The one place that cuts; and a sample token of ASCII, split over two strings of a DNS record. */
const EXEMPT = new Set(['kernel/text.ts', 'demo/sample-zone.ts']);

test('text is cut by kernel/text.ts alone', () => {
  const cuts = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file) && !EXEMPT.has(file))
    .flatMap((file) =>
      readFileSync(join(SRC, file), 'utf8')
        .split('\n')
        .filter((line) => /\.slice\([^(),]+,|\.slice\(\w+, |\.substr(ing)?\(|^\s+\.slice\(0,/.test(line))
        .filter((line) => !REVIEWED.some((reviewed) => reviewed.test(line)))
        .map((line) => `${file}: ${line.trim()}`),
    );
  expect(cuts).toEqual([]);
});
