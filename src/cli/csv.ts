/** One line of CSV with its line end (RFC 4180): fields that need quotes have them; null is an empty field. */
export function csvLine(fields: readonly (string | number | null)[]): string {
  return `${fields.map((field) => quoted(field === null ? '' : String(field))).join(',')}\r\n`;
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
