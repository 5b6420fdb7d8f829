/** Of each reader, at most so many texts are remembered. */
const REMEMBERED = 10_000;

/**
 * A pure reader of texts that remembers what it read lately. Accounts by the thousand share a domain and its
 * times, and reading those again for each would be most of the work of planning.
 */
export function remembered<Reading extends object | number | string>(
  read: (text: string) => Reading,
): (text: string) => Reading {
  const readings = new Map<string, Reading>();
  return (text) => {
    const known = readings.get(text);
    if (known !== undefined) return known;
    if (readings.size >= REMEMBERED) readings.clear();
    const reading = read(text);
    readings.set(text, reading);
    return reading;
  };
}

const forgetters: (() => void)[] = [];

/** As {@link remembered}, of a reader whose answers depend on settings too: see {@link forgetAll}. */
export function forgetting<Reading extends object | number | string>(
  read: (text: string) => Reading,
): (text: string) => Reading {
  let reader = remembered(read);
  forgetters.push(() => (reader = remembered(read)));
  return (text) => reader(text);
}

/** Settings have changed: what was read before counts no more. */
export function forgetAll(): void {
  for (const forget of forgetters) forget();
}
