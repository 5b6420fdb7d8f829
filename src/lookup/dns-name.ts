const LABEL = /^[\x21-\x2d\x2f-\x7e]{1,63}$/;
const MAX_NAME_OCTETS = 253;

/**
 * A name in the form in which names are compared: without the root's dot, and with A to Z in lower case and
 * nothing else (`toLowerCase` would also turn the Kelvin sign into a `k`).
 */
export function canonicalName(name: string): string {
  const undotted = name.endsWith('.') ? name.slice(0, -1) : name;
  return undotted.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Whether a question can carry this name. */
export function isAskable(name: string): boolean {
  const canonical = canonicalName(name);
  return canonical.length <= MAX_NAME_OCTETS && canonical.split('.').every((label) => LABEL.test(label));
}

/** Whether `name` is `apex` or below it; both canonical. The root, written as nothing, covers all. */
export function isWithin(name: string, apex: string): boolean {
  return apex === '' || name === apex || name.endsWith(`.${apex}`);
}
