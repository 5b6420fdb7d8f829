import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type AuditHead,
  ChainWalk,
  GENESIS,
  hashOfEntry,
  headText,
  parseHead,
} from '../../../src/audit/chain.js';
import { canonicalJson } from '../../../src/audit/canonical-json.js';
import { verifyLines } from '../../../src/audit/lines.js';
import type { ChainedEntry } from '../../../src/audit/entry.js';

function entry(seq: number, prev: string, subject = `flag-${seq}`): ChainedEntry {
  const content = {
    seq,
    at: `2026-03-01T09:30:00.00000${seq % 10}Z`,
    principal: 'alice',
    action: 'set-flag',
    subject,
    evidence: { enabled: true, permille: 250 },
    flagRevision: seq,
  };
  return { ...content, prev, hash: hashOfEntry(prev, content) };
}

function chainOf(length: number): ChainedEntry[] {
  const chain: ChainedEntry[] = [];
  for (let seq = 1; seq <= length; seq += 1) chain.push(entry(seq, chain.at(-1)?.hash ?? GENESIS.hash));
  return chain;
}

function walk(entries: readonly ChainedEntry[], expectHead?: AuditHead) {
  const chain = new ChainWalk(expectHead);
  for (const each of entries) {
    const fault = chain.follow(each);
    if (fault) return { ok: false, ...fault };
  }
  return chain.end();
}

const CHAIN = chainOf(7);
const at = (seq: number): ChainedEntry => {
  const found = CHAIN[seq - 1];
  if (!found) throw new Error(`no entry ${seq}`);
  return found;
};
const without = (...seqs: number[]) => CHAIN.filter(({ seq }) => !seqs.includes(seq));
const withEntry = (changed: ChainedEntry) => CHAIN.map((each) => (each.seq === changed.seq ? changed : each));
const HEAD = { seq: 7, hash: at(7).hash };

describe('a chain', () => {
  test('that is whole is found so, and its head is told', () => {
    expect(walk(CHAIN)).toEqual({ ok: true, count: 7, head: HEAD });
  });

  test('without an entry is whole', () => {
    expect(walk([])).toEqual({ ok: true, count: 0, head: GENESIS });
  });

  test('of which an entry is missing names it', () => {
    expect(walk(without(1))).toMatchObject({ ok: false, seq: 1, reason: 'entry 1 is missing' });
    expect(walk(without(4, 5))).toMatchObject({ seq: 4, reason: 'entries 4 to 5 are missing' });
  });

  test.each(['at', 'principal', 'action', 'subject', 'evidence', 'flagRevision', 'prev', 'hash'] as const)(
    'of which the %s of an entry was changed names that entry',
    (member) => {
      for (const { seq } of CHAIN) {
        const other = entry(seq + 1, 'ab'.repeat(32), 'another');
        const value =
          member === 'action'
            ? 'kill'
            : member === 'principal'
              ? 'eve'
              : member === 'evidence'
                ? {}
                : other[member];
        expect(walk(withEntry({ ...at(seq), [member]: value }))).toMatchObject({ ok: false, seq });
      }
    },
  );

  test('of which an entry was rewritten, hash and all, names it from the one behind it', () => {
    expect(walk(withEntry(entry(4, at(3).hash, 'forged')))).toMatchObject({
      seq: 4,
      reason: 'entry 4 was rewritten: entry 5 was written after another one',
    });
  });

  test('into which an entry was put names it, with those behind it counted on or not', () => {
    const forged = entry(4, at(3).hash, 'forged');
    const counted = CHAIN.slice(3).map((each) => ({ ...each, seq: each.seq + 1 }));
    for (const behind of [CHAIN.slice(3), counted]) {
      expect(walk([...CHAIN.slice(0, 3), forged, ...behind])).toMatchObject({ ok: false, seq: 4 });
    }
  });

  test('of which two entries were swapped names the first of the two', () => {
    const swapped = CHAIN.map((each) =>
      each.seq === 3 ? { ...at(4), seq: 3 } : each.seq === 4 ? { ...at(3), seq: 4 } : each,
    );
    expect(walk(swapped)).toMatchObject({ ok: false, seq: 3 });
  });

  test('whose beginning is gone and the rest counted anew does not pass', () => {
    const tail = entry(1, at(3).hash);
    expect(walk([tail])).toMatchObject({ ok: false, seq: 1 });
  });

  test('that was cut off, or written anew to its end, is found only against a head that was kept', () => {
    expect(walk(without(6, 7))).toMatchObject({ ok: true, count: 5 });
    expect(walk(without(6, 7), HEAD)).toMatchObject({
      ok: false,
      seq: 6,
      reason: expect.stringContaining('entries 6 to 7 are missing at the end'),
    });
    const anew = [...without(7), entry(7, at(6).hash, 'forged')];
    expect(walk(anew)).toMatchObject({ ok: true });
    expect(walk(anew, HEAD)).toMatchObject({ ok: false, seq: 7 });
  });

  test('that has grown since still goes through the head that was kept', () => {
    expect(walk([...CHAIN, entry(8, HEAD.hash)], HEAD)).toMatchObject({ ok: true, count: 8 });
    expect(walk(CHAIN, GENESIS)).toMatchObject({ ok: true });
  });

  test('with any one character of any one line changed does not pass', async () => {
    const lines = CHAIN.map((each) => canonicalJson(each));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.nat(),
        fc.string({ minLength: 1, maxLength: 1 }),
        async (which, where, put) => {
          const line = lines[which % lines.length] ?? '';
          const spot = where % line.length;
          const changed = line.slice(0, spot) + put + line.slice(spot + 1);
          if (changed === line) return;
          const verdict = await verifyLines(
            lines.map((each) => (each === line ? changed : each)),
            { expectHead: HEAD },
          );
          expect(verdict.ok).toBe(false);
        },
      ),
    );
  });
});

describe('exported lines', () => {
  const lines = CHAIN.map((each) => `${canonicalJson(each)}\n`);

  test('verify with and without their line ends', async () => {
    const whole = { ok: true, count: 7, head: HEAD };
    expect(await verifyLines(lines)).toEqual(whole);
    expect(await verifyLines(lines.map((line) => line.trim()))).toEqual(whole);
    expect(await verifyLines([...lines.map((line) => line.replace('\n', '\r\n')), ''])).toEqual(whole);
  });

  test.each([
    ['a member said twice', (line: string) => line.replace('{', '{"principal":"eve",')],
    ['a number said otherwise', (line: string) => line.replace('250', '250.0')],
    ['a member more', (line: string) => line.replace('}\n', ',"z":1}\n')],
    ['half of it', (line: string) => line.slice(0, 40)],
    ['something else', () => 'null\n'],
  ])('do not pass with %s in one of them', async (_what, change) => {
    const changed = lines.map((line, index) => (index === 3 ? change(line) : line));
    expect(await verifyLines(changed)).toMatchObject({ ok: false, seq: 4, count: 3 });
  });
});

describe('a head', () => {
  test('is read as it was written', () => {
    expect(parseHead(` ${headText(HEAD).toUpperCase()} `)).toEqual(HEAD);
  });

  test.each(['', '7', `7:${'0'.repeat(63)}`, `-1:${'0'.repeat(64)}`, `7 ${'0'.repeat(64)}`])(
    'is not %j',
    (text) => {
      expect(() => parseHead(text)).toThrow(expect.objectContaining({ code: 'REQUEST_INVALID' }));
    },
  );
});
