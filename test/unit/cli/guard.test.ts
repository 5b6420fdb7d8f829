import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { exitCodeOf, printError } from '../../../src/cli/exit.js';
import { createProgram } from '../../../src/cli/program.js';
import { FakeApp } from './fake-app.js';
import { FakeTerminal } from './fake-terminal.js';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-backtest-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function backtest(...args: string[]): Promise<{ exit: number; out: string; err: string }> {
  const io = new FakeTerminal();
  let exit = 0;
  try {
    await createProgram(new FakeApp(), io, new FakeApp().commands).parseAsync([
      'node',
      'portcullis',
      'guard',
      'backtest',
      ...args,
    ]);
  } catch (error) {
    printError(error, { json: false }, io.stderr);
    exit = exitCodeOf(error);
  }
  return { exit, out: io.stdout.text, err: io.stderr.text };
}

function csv(text: string): string {
  const file = join(folder, 'runs.csv');
  writeFileSync(file, text);
  return file;
}

const DAYS = Array.from({ length: 30 }, (_, day) => {
  const at = new Date(Date.UTC(2026, 0, 1 + day)).toISOString().slice(0, 10);
  return `${at},${day === 29 ? 4_812 : 34 + ((day * 7) % 13)},1000`;
});
const RUNS = `at,count,units\n${DAYS.join('\n')}\n`;

describe('guard backtest', () => {
  test('answers each run with its expectation, interval, chance and verdict', async () => {
    const { exit, out } = await backtest('--rule', 'claims', '--csv', csv(RUNS), '--json');
    expect(exit).toBe(0);
    const answer = JSON.parse(out) as { runs: Record<string, unknown>[]; trips: number };
    expect(answer.trips).toBe(1);
    expect(answer.runs).toHaveLength(30);
    expect(answer.runs.at(-1)).toMatchObject({
      at: '2026-01-30T00:00:00.000Z',
      count: 4_812,
      verdict: 'fail',
    });
    expect(Object.keys(answer.runs.at(-1) ?? {})).toEqual(
      expect.arrayContaining(['at', 'count', 'expected', 'low', 'high', 'p', 'verdict']),
    );
  });

  test('tells a person the same, the budget and the other thresholds', async () => {
    const { out } = await backtest('--rule', 'claims', '--csv', csv(RUNS));
    expect(out).toMatch(/2026-01-30T00:00:00Z +4,812 +40 +2\d–5\d +\S+e-\d+ +trip/);
    expect(out).toContain('at most 0.1 a year in a region, at this pace of 365 runs a year');
    expect(out).toMatch(/2\.5e-5 +1 +0\n *2\.5e-4 +1 +0\n *0\.0025 +1 +0/);
  });

  test('counts units where it is told to', async () => {
    const { out } = await backtest('--rule', 'reach', '--csv', csv(RUNS), '--of', 'units', '--floor', '15');
    expect(out).toMatch(/rule +reach: alpha 2\.5e-4, floor 15 units\n/);
    const { out: json } = await backtest('--rule', 'reach', '--csv', csv(RUNS), '--of', 'units', '--json');
    expect((JSON.parse(json) as { runs: { reason: string }[] }).runs.at(-1)?.reason).toMatch(
      /^reach: planned for 4,812 units; runs plan for 40 /,
    );
  });

  test('reads units as one where there is no such column, and takes alpha and floor', async () => {
    const file = csv(
      'count,at\n40,2026-01-01\n40,2026-01-02 10:00\n40,2026-01-03T10:00+02:00\n80,2026-01-04\n',
    );
    const { out } = await backtest('--rule', 'x', '--csv', file, '--alpha', '1e-9', '--floor', '5', '--json');
    expect(JSON.parse(out)).toMatchObject({
      trips: 0,
      alpha: 1e-9,
      floor: 5,
      runs: [{}, { at: '2026-01-02T10:00:00.000Z' }, { at: '2026-01-03T08:00:00.000Z', units: 1 }, {}],
    });
  });

  test('draws what it found', async () => {
    const svg = join(folder, 'runs.svg');
    const { exit, err } = await backtest('--rule', 'claims', '--csv', csv(RUNS), '--svg', svg);
    expect([exit, err]).toEqual([0, `drawn: ${svg}\n`]);
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg [^]*claims: 4,812 planned[^]*<\/svg>\n$/);
  });

  test('names all the faults of a file at once, with their lines', async () => {
    const file = csv(
      'at,count,units\n2026-01-01,40,1000\nyesterday,-3,0\n2026-01-03,12.5,\n2026-01-04\ninfinity,1,1\n',
    );
    const { exit, out, err } = await backtest('--rule', 'claims', '--csv', file);
    expect([exit, out]).toEqual([2, '']);
    expect(err).toMatch(/^error CSV_INVALID: 6 faults; nothing was judged\n/);
    for (const [line, what] of [
      [3, 'at: "yesterday" is not a time'],
      [3, 'count: "-3" is not a whole number from 0'],
      [3, 'units: "0" is not a whole number from 1'],
      [4, 'count: "12.5" is not a whole number'],
      [5, 'there are 1 fields, and the header has 3'],
      [6, 'at: "infinity" is no time that a run can have'],
    ] as const) {
      expect(err).toContain(`${file}:${line}: ${what}`);
    }
  });

  test.each([
    [['--rule', 'x'], 'there are no runs to judge\n  hint: give --job and --region, or --csv'],
    [['--rule', 'x', '--csv', 'a', '--job', 'b'], '--csv is given together with --job or --region'],
    [['--rule', 'x', '--csv', 'a', '--alpha', '2'], 'An alpha is a chance from 1e-9 to 0.1'],
    [['--rule', 'x', '--csv', 'a', '--floor', '-1'], 'A floor is a whole number'],
    [['--rule', 'x', '--csv', 'a', '--of', 'unit'], 'Allowed choices are changes, units'],
    [['--csv', 'a'], "required option '--rule <name>' not specified"],
  ])('%j is refused', async (args, message) => {
    const { exit, err } = await backtest(...args);
    expect(exit).toBe(2);
    expect(err).toMatch(/^error USAGE_INVALID: /);
    expect(err).toContain(message);
  });

  test('a file that is not there is said to be none', async () => {
    const { exit, err } = await backtest('--rule', 'x', '--csv', join(folder, 'none.csv'));
    expect(exit).toBe(2);
    expect(err).toMatch(/^error FILE_UNREADABLE: /);
  });

  test('a plot that cannot be written is said to be none', async () => {
    const svg = join(folder, 'none', 'runs.svg');
    const { exit, err } = await backtest('--rule', 'x', '--csv', csv(RUNS), '--svg', svg);
    expect(exit).toBe(2);
    expect(err).toMatch(/^error FILE_UNWRITABLE: /);
  });
});
