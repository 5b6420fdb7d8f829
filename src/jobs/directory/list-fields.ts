import { shown } from '../../csv/shown.js';
import { type Reader, timestamp, indexedText } from '../../csv/values.js';

const PARTS = /^((?:\\.|[^@\\])+)@([^/]+)(?:\/(.+))?$/s;

const FORM = 'organisation@since or organisation@since/removed, separated by semicolons';

/**
 * Reads `org-1@2025-01-01T00:00:00Z;org-2@2024-03-01/2025-06-30`: the organisations that an account
 * administers, since when, and until when if that is over. A `;`, `@` or `\` within an id has a `\` before it.
 * The value is JSON: `[{"organisation_id", "since", "removed_at"}]`.
 */
export const adminOf: Reader = (text) => {
  const entries = entriesOf(text);
  if (entries === undefined) return { fault: `${shown(text)} is not ${FORM}` };
  const admins: { organisation_id: string; since: string; removed_at: string | null }[] = [];
  for (const entry of entries) {
    const [, id, since, removed] = PARTS.exec(entry) ?? [];
    if (id === undefined || since === undefined) return { fault: `${shown(entry)} is not ${FORM}` };
    for (const time of removed === undefined ? [since] : [since, removed]) {
      const reading = timestamp(time);
      if ('fault' in reading) return { fault: `${shown(entry)}: ${reading.fault}` };
    }
    admins.push({ organisation_id: unescaped(id), since, removed_at: removed ?? null });
  }
  return { value: JSON.stringify(admins) };
};

/**
 * Reads `Jira;Trello`: the products that an account is used in. A `;` or `\` within a name has a `\` before it.
 * The value is JSON: `["Jira", "Trello"]`.
 */
export const products: Reader = (text) => {
  const names = entriesOf(text)?.map(unescaped);
  if (names === undefined)
    return { fault: `${shown(text)} is not a list of products separated by semicolons` };
  const twice = names.find((name, at) => names.indexOf(name) < at);
  if (twice !== undefined) return { fault: `${shown(text)} names ${shown(twice)} twice` };
  for (const name of names) {
    const reading = indexedText(name);
    if ('fault' in reading) return { fault: `${shown(name)} ${reading.fault}` };
  }
  return { value: JSON.stringify(names) };
};

/** The entries of a field that holds several, and the backslash that makes a semicolon an ordinary letter. */
const ENTRY = /(?:\\.|[^;\\])+/gs;

/** Splits a field at its semicolons; each entry still has its backslashes. Undefined where one is empty or cut off. */
function entriesOf(text: string): readonly string[] | undefined {
  const entries: readonly string[] = text.match(ENTRY) ?? [];
  return entries.length > 0 && entries.join(';') === text ? entries : undefined;
}

/** An entry, or a part of it, as it is meant. */
function unescaped(entry: string): string {
  return entry.replaceAll(/\\(.)/gs, '$1');
}
