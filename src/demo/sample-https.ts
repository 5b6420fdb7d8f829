import type { Https } from '../lookup/https.js';

/** HTTPS in the sample world: its domains are made up, none serves a page, and nobody outside is asked. */
export const sampleHttps: Https = {
  getText: () => Promise.resolve({ kind: 'absent', status: 404 }),
};
