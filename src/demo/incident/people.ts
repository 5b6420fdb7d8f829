import type { Principal } from '../../access/roles.js';

/** Who acts by hand in a replay, on its record. */
export const PEOPLE: Principal = { name: 'system:replay', role: 'admin', regions: null };
