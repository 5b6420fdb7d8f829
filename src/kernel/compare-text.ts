/** Orders texts by their UTF-16 units, as PostgreSQL's collation "C" orders ASCII: the same on every machine. */
export function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
