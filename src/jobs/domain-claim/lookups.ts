import type { Dns } from '../../lookup/dns.js';
import type { Https } from '../../lookup/https.js';

/** What the job asks besides the database. Whoever installs it says over which resolvers, and how long they may take. */
export interface Lookups {
  readonly dns: Dns;
  readonly https: Https;
}
