/** The entries of a field that holds several, and the backslash that makes a semicolon an ordinary letter. */
const ENTRY = /(?:\\.|[^;\\])+/gs;

/** Splits a field at its semicolons; each entry still has its backslashes. Undefined where one is empty or cut off. */
export function entriesOf(text: string): readonly string[] | undefined {
  const entries: readonly string[] = text.match(ENTRY) ?? [];
  return entries.length > 0 && entries.join(';') === text ? entries : undefined;
}

/** An entry, or a part of it, as it is meant. */
export function unescaped(entry: string): string {
  return entry.replaceAll(/\\(.)/gs, '$1');
}
