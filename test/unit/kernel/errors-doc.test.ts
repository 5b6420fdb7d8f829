import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { EXIT_MEANINGS, EXITS } from '../../../src/cli/exit.js';
import { ERRORS, type ErrorCode } from '../../../src/kernel/errors.js';

const root = join(import.meta.dirname, '../../..');
const page = readFileSync(join(root, 'docs/reference/errors.md'), 'utf8');
const sections = new Map(
  page
    .split(/^### /m)
    .slice(1)
    .map((text): [string, string] => {
      const [heading = '', ...lines] = text.split(/^## /m)[0]?.split('\n') ?? [];
      return [heading.trim(), lines.join('\n').trim()];
    }),
);
const codes = Object.keys(ERRORS) as ErrorCode[];

describe('docs/reference/errors.md', () => {
  test('has a section for every code, in the order of the table, and for no other', () => {
    const headings = [...page.matchAll(/^### (.*)$/gm)].map((match) => match[1]);
    expect(headings.filter((each, index) => headings.indexOf(each) !== index)).toEqual([]);
    expect(headings).toEqual(codes);
  });

  test.each(codes)('says of %s its title, HTTP status and exit code as the table does', (code) => {
    const { title, status } = ERRORS[code];
    expect(sections.get(code)?.split('\n')[0]).toBe(`${title}. _HTTP ${status}, exit ${EXITS[code]}._`);
  });

  test.each(codes)('shows an example of %s and the hint', (code) => {
    expect(sections.get(code)).toMatch(/^- Example: `\S.*`$/m);
    expect(sections.get(code)).toMatch(/^- Fix: \S.*\.$/m);
  });
});

test('docs/reference/errors.md explains every exit code', () => {
  const explained = [...page.matchAll(/^\| (\d) +\| (.*?)\|$/gm)].map(([, code, text]) => [code, text]);
  expect(explained).toEqual(
    Object.entries(EXIT_MEANINGS).map(([code, meaning]) => [code, expect.stringContaining(meaning)]),
  );
});

test('no code stands in the table that nothing reports', () => {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && file !== join('kernel', 'errors.ts'))
    .map((file) => readFileSync(join(root, 'src', file), 'utf8'))
    .join('\n');
  expect(codes.filter((code) => !sources.includes(`'${code}'`))).toEqual([]);
});
