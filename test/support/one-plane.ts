import type { RegionPlane, RegionPlanes } from '../../src/regions/region-plane.js';

/** Every region on one database. */
export function onePlane(plane: RegionPlane): RegionPlanes {
  return { of: () => plane, all: () => [plane] };
}
