/**
 * MurmurHash3, the 32-bit x86 form, over the low byte of each UTF-16 unit: what `murmurhash3js` answers and
 * Unleash buckets by, property-tested against both. Written here because a whole region's units are hashed
 * at each run: a common prefix is hashed once, and no joined string is built for each unit.
 */
const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

/** Answers a function that hashes `prefix + text` to an unsigned 32-bit number. */
export function murmurWithPrefix(prefix: string, seed: number): (text: string) => number {
  let prefixHash = seed;
  let prefixWord = 0;
  let prefixShift = 0;
  for (let at = 0; at < prefix.length; at += 1) {
    prefixWord |= (prefix.charCodeAt(at) & 0xff) << prefixShift;
    prefixShift += 8;
    if (prefixShift === 32) {
      prefixHash = mixBlock(prefixHash, prefixWord);
      prefixWord = 0;
      prefixShift = 0;
    }
  }
  return (text) => {
    let hash = prefixHash;
    let word = prefixWord;
    let shift = prefixShift;
    const length = text.length;
    for (let at = 0; at < length; at += 1) {
      word |= (text.charCodeAt(at) & 0xff) << shift;
      shift += 8;
      if (shift === 32) {
        hash = mixBlock(hash, word);
        word = 0;
        shift = 0;
      }
    }
    if (shift !== 0) hash ^= mixWord(word);
    return finish(hash ^ (prefix.length + length));
  };
}

/** Hashes `text` to an unsigned 32-bit number. */
export function murmur(text: string, seed: number): number {
  return murmurWithPrefix('', seed)(text);
}

function mixWord(word: number): number {
  const mixed = Math.imul(word, C1);
  return Math.imul((mixed << 15) | (mixed >>> 17), C2);
}

function mixBlock(hash: number, word: number): number {
  const mixed = hash ^ mixWord(word);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
