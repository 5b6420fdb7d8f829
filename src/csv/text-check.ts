import { isUtf8 } from 'node:buffer';
import { Transform } from 'node:stream';

const NEWLINE = 0x0a;

/**
 * Passes text through and reports each line that is not UTF-8, or holds a NUL, which PostgreSQL cannot keep.
 * What is wrong is replaced by U+FFFD on its way, so that the rest of the file can still be read.
 */
export function textCheck(onFault: (line: number, reason: string) => void): Transform {
  let line = 1;
  let lastFaulty = 0;
  let rest: Buffer = Buffer.alloc(0);

  const checked = (chunk: Buffer): Buffer => {
    const sound = isUtf8(chunk) && !chunk.includes(0);
    if (!sound) name(chunk);
    line += newlinesIn(chunk);
    return sound ? chunk : Buffer.from(chunk.toString('utf8').replaceAll('\0', '\uFFFD'));
  };
  const name = (chunk: Buffer): void => {
    let at = line;
    for (let from = 0; from < chunk.length; at += 1) {
      const newline = chunk.indexOf(NEWLINE, from);
      const piece = chunk.subarray(from, newline === -1 ? chunk.length : newline);
      from += piece.length + 1;
      const reason = !isUtf8(piece)
        ? 'is not valid UTF-8'
        : piece.includes(0)
          ? 'holds a NUL character'
          : undefined;
      if (reason !== undefined && at !== lastFaulty) onFault((lastFaulty = at), reason);
    }
  };

  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const all = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const end = wholeCharacters(all);
      rest = all.subarray(end);
      done(null, checked(all.subarray(0, end)));
    },
    flush(done) {
      done(null, checked(rest));
    },
  });
}

/** How many of the bytes remain when a character that is cut off at the end is left for the next chunk. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0b1100_0000) === 0b1000_0000) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function newlinesIn(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}
