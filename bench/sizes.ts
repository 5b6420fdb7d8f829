import type { BenchDatabase, BenchServer } from './server.js';
import { fillOn, named, PLAIN, type BenchTable } from './tables.js';

/** Changes of a run, which claims all the accounts of its directory. */
export const SIZES = [10_000, 100_000, 1_000_000] as const;
export type Size = (typeof SIZES)[number];

export const REGION = 'r1';

const templates = new Map<string, Promise<string>>();

/** A fresh directory of a size, filled once for all benches. */
export async function directoryOf(
  server: BenchServer,
  size: number,
  table: BenchTable = PLAIN,
): Promise<BenchDatabase> {
  const name = named(`directory_${size}`, table);
  const template =
    templates.get(name) ?? server.template(name, (owner) => fillOn(owner, table, REGION, size));
  templates.set(name, template);
  return server.copyOf(await template);
}
