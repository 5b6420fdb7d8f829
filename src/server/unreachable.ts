import type { PlanesPage } from '../regions/browse.js';

/** A page that names the region databases it is without, and not why: a reason may hold an address. */
export function withoutReasons<Item>({ items, next, unreachable }: PlanesPage<Item>) {
  return { items, next, unreachable: unreachable.map(({ database }) => database) };
}
