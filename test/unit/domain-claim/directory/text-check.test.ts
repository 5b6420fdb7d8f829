import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { textCheck } from '../../../../src/csv/rows.js';
import { anyCharacter } from '../../../support/any-character.js';

async function check(chunks: readonly Uint8Array[]): Promise<{ text: string; faults: [number, string][] }> {
  const faults: [number, string][] = [];
  const out: Buffer[] = [];
  const checked = Readable.from(chunks).pipe(textCheck((line, reason) => faults.push([line, reason])));
  for await (const chunk of checked) out.push(chunk as Buffer);
  return { text: Buffer.concat(out).toString('utf8'), faults };
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let from = 0;
  for (const size of sizes) {
    chunks.push(bytes.subarray(from, from + size));
    from += size;
  }
  return [...chunks, bytes.subarray(from)];
}

const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 12 });

describe('the text check', () => {
  test('passes UTF-8 unchanged, wherever it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: anyCharacter }), sizes, async (text, at) => {
        const sound = text.replaceAll('\0', '');
        expect(await check(cut(Buffer.from(sound), at))).toEqual({ text: sound, faults: [] });
      }),
    );
  });

  test('names each faulty line once, wherever it is cut', async () => {
    const line = fc.constantFrom<[string, string | undefined]>(
      ['6162', undefined],
      ['f09f9880', undefined],
      ['', undefined],
      ['61ff61', 'is not valid UTF-8'],
      ['c3', 'is not valid UTF-8'],
      ['eda080', 'is not valid UTF-8'],
      ['610061', 'holds a NUL character'],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1 }), sizes, async (lines, at) => {
        const bytes = Buffer.from(lines.map(([hex]) => hex).join('0a'), 'hex');
        const expected = lines.flatMap(([, reason], index) =>
          reason === undefined ? [] : [[index + 1, reason]],
        );
        const { faults, text } = await check(cut(bytes, at));
        expect(faults).toEqual(expected);
        expect(text.split('\n')).toHaveLength(lines.length);
        expect(text).not.toContain('\0');
      }),
    );
  });
});
