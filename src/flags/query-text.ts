/** Text of which no character is code: literals, quoted names, comments. */
const INERT =
  /\b[eE]'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[^]*?\*\/|(\$\w*\$)[^]*?\1/g;

/**
 * What is wrong with an SQL text that should be one query; undefined where it is one. A reader's help, not a
 * defence: the database itself runs it with rights to read and takes a single statement only.
 */
export function queryFault(sql: string): string | undefined {
  const code = sql.replace(INERT, ' ').trim().replace(/;\s*$/, '').trim();
  if (code === '') return 'is empty';
  if (code.includes(';')) return 'has more than one statement';
  if (!/^(select|with|values|table)\b|^\(/i.test(code))
    return 'is not a query: it must begin with select or with';
  return undefined;
}
