import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { createProgram } from '../../../src/cli/program.js';
import { WORLD_NAMES } from '../../../src/demo/incident/replay.js';
import type { ReplayResult } from '../../../src/demo/incident/result.js';
import { RESULT } from '../demo/replay-result.js';
import { FakeApp } from './fake-app.js';
import { FakeTerminal } from './fake-terminal.js';

/**
 * docs/reference/replay.md has what a replay printed, and the README its first table: the figures are of then, the shape must
 * be of now.
 */

const shown = await shownIn('docs/reference/replay.md');
const shownInReadme = await shownIn('README.md');
const printed = await print({
  ...RESULT,
  worlds: WORLD_NAMES.flatMap((name) => RESULT.worlds.slice(0, 1).map((world) => ({ ...world, name }))),
});

/** The block of a page that shows what `npx portcullis replay` printed. */
async function shownIn(page: string): Promise<string[]> {
  const text = await readFile(new URL(`../../../${page}`, import.meta.url), 'utf8');
  return /npx portcullis replay`[^\n]*\n\n```\n(.*?)\n```/s.exec(text)?.[1]?.split('\n') ?? [];
}

async function print(result: ReplayResult): Promise<string[]> {
  const app = new FakeApp();
  const io = new FakeTerminal();
  app.replay = () => Promise.resolve(result);
  await createProgram(app, io, app.commands).parseAsync(['node', 'portcullis', 'replay']);
  return io.stdout.text.split('\n');
}

/** From the line that begins with a title up to the next empty one. */
function tableOf(lines: readonly string[], title: string): string[] {
  const from = lines.findIndex((line) => line.startsWith(`${title} `));
  return from === -1 ? [] : lines.slice(from, lines.indexOf('', from));
}

/** Cells stand two blanks or more apart, and end where their column's title ends; a row begins with its name. */
function cellsOf(line: string): { text: string; end: number }[] {
  return [...line.matchAll(/\S+(?: \S+)*/g)].map(({ 0: text, index }) => ({
    text,
    end: index + text.length,
  }));
}

describe.each(['world', 'users locked out'])("the page's table of each %s", (title) => {
  const [head = '', ...rows] = tableOf(shown, title);
  const [headNow = '', ...rowsNow] = tableOf(printed, title);
  const texts = (line: string) => cellsOf(line).map(({ text }) => text);
  const ends = (line: string) =>
    cellsOf(line)
      .slice(1)
      .map(({ end }) => end);

  test('has the columns that are printed now', () => {
    expect(headNow).not.toBe('');
    expect(texts(head)).toEqual(texts(headNow));
  });

  test('has a row for each world that is replayed now, in that order', () => {
    expect(rows.map((row) => texts(row)[0])).toEqual(rowsNow.map((row) => texts(row)[0]));
    expect(rows).toHaveLength(WORLD_NAMES.length);
  });

  test('has every cell under its title', () => {
    for (const row of rows) expect({ row, ends: ends(row) }).toEqual({ row, ends: ends(head) });
  });
});

const stars = (lines: readonly string[]) => lines.filter((line) => line.startsWith('* '));

test("the page says what the star means in the program's own words", () => {
  expect(stars(shown)).toEqual(stars(printed));
  expect(stars(shown)).toHaveLength(1);
});

test('the README has the same first table and star', () => {
  const world = tableOf(shown, 'world');
  expect(tableOf(shownInReadme, 'world')).toEqual(world);
  expect(shownInReadme).toEqual([...world, '', ...stars(shown)]);
});
