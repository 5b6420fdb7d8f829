import { claimFlag } from './claim-job.js';
import { fillRegion, WARM_UP } from './directory.js';
import type { BenchDatabase, BenchServer } from './server.js';

/** Changes of a run, which claims all the accounts of its directory. */
export const SIZES = [10_000, 100_000, 1_000_000] as const;
export type Size = (typeof SIZES)[number];

export const REGION = 'r1';

const templates = new Map<Size, Promise<string>>();

/** A fresh directory of a size, filled once for all benches. */
export async function directoryOf(server: BenchServer, size: Size): Promise<BenchDatabase> {
  const template =
    templates.get(size) ??
    server.template(`directory_${size}`, async (owner) => {
      const flag = await claimFlag();
      await fillRegion(owner, REGION, size, flag);
      await fillRegion(owner, WARM_UP.region, WARM_UP.accounts, flag);
    });
  templates.set(size, template);
  return server.copyOf(await template);
}
