import type { BenchServer } from './server.js';
import { claimFlag } from './claim-job.js';
import { fillRegion } from './directory.js';

/** Regions of one directory, each named for its accounts; a run claims all of a region's. */
export const SIZES = [10_000, 100_000, 1_000_000] as const;

export function regionOf(changes: number): string {
  return `r${changes}`;
}

let template: Promise<string> | undefined;

/** The directory of the benches that compare sizes: made once, for whichever comes first. */
export function sizedDirectory(server: BenchServer): Promise<string> {
  template ??= server.template('sizes', async (owner) => {
    const flag = await claimFlag();
    for (const changes of SIZES) await fillRegion(owner, regionOf(changes), changes, flag);
  });
  return template;
}
