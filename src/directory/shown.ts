/** A field's text as a message may show it: quoted, its control characters escaped, and cut. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
