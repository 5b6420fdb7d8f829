/**
 * Takes secrets out of a line of JSON, wherever they stand: by field name at any depth, and by shape inside
 * any text. It works on the finished line, because a secret in an error's message or stack has no field name.
 */
export function redact(line: string): string {
  return line
    .replace(SECRET_FIELD, '"$1":"***"')
    .replace(URL_PASSWORD, '$1:***@')
    .replace(BEARER, '$1 ***')
    .replace(API_TOKEN, 'pcl_***');
}

const SECRET_FIELD =
  /"([^"\\]*(?:password|passwd|secret|token|authorization|cookie|api[-_]?key))":"(?:[^"\\]|\\.)*"/gi;
/** Up to the last @ of the word: a password may have one of its own. */
const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s:@/"\\]*):(?:[^\s"\\]|\\.)+@/gi;
const BEARER = /\b(Bearer|Basic)\s+[\w.~+/=-]+/gi;
const API_TOKEN = /\bpcl_[\w-]{20,}/g;
