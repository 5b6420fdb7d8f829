import { entriesOf, unescaped } from './entries.js';
import { shown } from '../../../csv/shown.js';
import { type Reader, indexedText } from '../../../csv/values.js';

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
