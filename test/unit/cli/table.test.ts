import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  cutTo,
  displayWidth,
  padTo,
  printable,
  printableLines,
  wrapTo,
} from '../../../src/cli/display-width.js';
import { renderFacts, renderTable, Table } from '../../../src/cli/table.js';
import { painter } from '../../../src/cli/tone.js';
import { anyCharacter } from '../../support/any-character.js';

const plain = { paint: painter(false), columns: Infinity };

describe('the width of text', () => {
  test.each([
    ['plain', 5],
    ['größe', 5],
    ['e\u0301', 1],
    ['日本', 4],
    ['👍', 2],
    ['', 0],
  ])('%j takes %i columns', (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });

  test('text that is cut fits, whatever it is, and so does text that is filled', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (raw, columns) => {
        const text = printable(raw);
        expect(displayWidth(cutTo(text, columns))).toBeLessThanOrEqual(columns);
        expect(displayWidth(padTo(cutTo(text, columns), columns, 'right'))).toBe(columns);
      }),
    );
  });

  test('text that fits is not cut', () => {
    expect(cutTo('exactly', 7)).toBe('exactly');
    expect(cutTo('too long', 7)).toBe('too lo…');
  });

  test('wrapped text keeps its words whole and in order, and its lines within the width', () => {
    expect(wrapTo('a long-address stays whole', 6)).toEqual(['a', 'long-address', 'stays', 'whole']);
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1 }),
        fc.nat(40),
        (words, columns) => {
          const lines = wrapTo(words.join(' '), columns);
          expect(lines.join(' ')).toBe(words.join(' '));
          for (const line of lines) {
            if (line.includes(' ')) expect(line.length).toBeLessThanOrEqual(columns);
          }
        },
      ),
    );
  });

  test('nothing in text can move the cursor, change colours or turn the writing around', () => {
    expect(printable('a\u001b[31mb\nc\u202ed')).toBe('a\\x1b[31mb\\x0ac\\u202ed');
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), (text) => {
        expect(printable(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
      }),
    );
  });

  test('a whole answer keeps its lines, and its own colours where it has any', () => {
    const text = 'a\tb\n\u001b[31mred\u001b[0m \u001b[8mhidden\u001b[2J\r';
    const foreign = '\\x1b[8mhidden\\x1b[2J\\x0d';
    expect(printableLines(text, true)).toBe(`a\tb\n\u001b[31mred\u001b[0m ${foreign}`);
    expect(printableLines(text, false)).toBe(`a\tb\n\\x1b[31mred\\x1b[0m ${foreign}`);
  });
});

describe('a table', () => {
  const columns = [{ title: 'region' }, { title: 'planned' }, { title: 'reason' }];

  test('aligns words on the left, figures on the right with separators, and ends no line in spaces', () => {
    const text = renderTable(
      columns,
      [
        ['eu-west-1', 12_345, 'applied'],
        ['日本', 7, ''],
      ],
      plain,
    );
    expect(text).toBe(
      ['region     planned  reason', 'eu-west-1   12,345  applied', '日本             7', ''].join('\n'),
    );
  });

  test('wraps its last column to the terminal, and cuts nothing', () => {
    const text = renderTable(columns, [['eu-west-1', 1, 'the flag is off in this region']], {
      ...plain,
      columns: 40,
    });
    expect(text.trimEnd().split('\n')).toEqual([
      'region     planned  reason',
      'eu-west-1        1  the flag is off in',
      '                    this region',
    ]);
  });

  test('puts columns below the row where the terminal is too narrow, the least needed first', () => {
    const some = [
      { title: 'region' },
      { title: 'version', below: 1 },
      { title: 'took', minor: true as const },
      { title: 'owner' },
      { title: 'reason', below: 2 },
    ];
    const lines = (columnsOfTerminal: number, reason = 'a reason of a few words'): string[] =>
      renderTable(some, [['eu-west-1', '1.0.0_9f3c2a1b', '12 ms', '–', reason]], {
        ...plain,
        columns: columnsOfTerminal,
      })
        .trimEnd()
        .split('\n');
    expect(lines(70)).toHaveLength(2);
    expect(lines(60)).toEqual([
      'region     version         owner  reason',
      'eu-west-1  1.0.0_9f3c2a1b  –      a reason of a few words',
    ]);
    expect(lines(42)).toEqual([
      'region     owner  reason',
      'eu-west-1  –      a reason of a few words',
      '  version 1.0.0_9f3c2a1b',
    ]);
    expect(lines(30)).toEqual([
      'region     owner',
      'eu-west-1  –',
      '  version 1.0.0_9f3c2a1b',
      '  reason a reason of a few',
      '  words',
    ]);
    const word = 'x'.repeat(70);
    expect(lines(80, word)).toEqual([
      'region     owner',
      'eu-west-1  –',
      '  version 1.0.0_9f3c2a1b',
      `  reason ${word}`,
    ]);
    expect(lines(10).at(-1)).toBe('  words');
    expect(lines(Infinity)).toHaveLength(2);
  });

  test('is not cut where there is no terminal', () => {
    const reason = 'x'.repeat(500);
    expect(renderTable(columns, [['eu-west-1', 1, reason]], plain)).toContain(reason);
  });

  test('keeps its widths for rows that come later', () => {
    const table = new Table(columns, [['ap-southeast-2', 1_000, '']], plain);
    expect(table.row(['eu-west-1', 5, 'applied'])).toBe('eu-west-1             5  applied');
  });

  test('colours a cell and not the spaces around it', () => {
    const row = new Table([{ title: 'status' }, { title: 'n' }], [['succeeded', 1]], {
      paint: painter(true),
      columns: Infinity,
    }).row([{ text: 'held', tone: 'warning' }, 1]);
    expect(row).toBe('\u001b[33mheld\u001b[0m       1');
  });

  test('shows what a cell holds, and obeys nothing in it', () => {
    expect(renderTable([{ title: 'mail' }], [['\u001b[2Jgone']], plain)).toBe('mail\n\\x1b[2Jgone\n');
  });
});

test('facts stand under each other', () => {
  expect(
    renderFacts(
      [
        ['run', '3f2a'],
        ['conflicts', 1_200],
      ],
      plain,
    ),
  ).toBe('run        3f2a\nconflicts  1,200\n');
});

test('facts that are too long go on below themselves', () => {
  const facts = renderFacts([['serves', 'eu-west-1, eu-central-1, us-east-1']], { ...plain, columns: 30 });
  expect(facts).toBe('serves  eu-west-1,\n        eu-central-1,\n        us-east-1\n');
});
