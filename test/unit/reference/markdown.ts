/** A table of Markdown; `|` in a cell does not end it. */
export function tableOf(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [row(titles), row(titles.map(() => '---')), ...rows.map(row)].join('\n');
}

export const code = (text: string): string => `\`${text}\``;

/** A page's first lines: its title, and the comment that says what it is made from. */
export function headOf(title: string, madeFrom: string): string {
  return `# ${title}\n\n<!-- Made from ${madeFrom}. Do not edit it: npm run docs makes it again. -->`;
}

/** A text as a sentence: a capital first, unless a key stands there, and a full stop last. */
export function sentence(text: string): string {
  const start = /^\w+:/.test(text) ? text.charAt(0) : text.charAt(0).toUpperCase();
  return start + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}
