import { defineJob } from '../../sdk/index.js';
import { checkNow } from './check-now.js';
import { doctor } from './doctor.js';
import { KINDS, RESOURCES } from './declaration.js';
import type { Lookups } from './lookups.js';
import { plan } from './plan.js';

/**
 * Verifies the domains that organisations' admins asked for, and claims the accounts at verified domains for
 * organisations that consented to it.
 */
export const domainClaim = defineJob({
  name: 'domain-claim',
  version: '1.0.0',
  unit: { table: 'directory.organisation', key: 'id', region: 'home_region' },
  resources: RESOURCES,
  kinds: KINDS,
  migrations: { folder: new URL('./migrations/', import.meta.url), schemas: ['directory'] },
  runbook: new URL('./runbook.md', import.meta.url),
  commands: { check: checkNow },
  clients: (): Lookups => {
    throw new TypeError('domain-claim needs the DNS and HTTPS that its installation opens');
  },
  doctor,
  plan,
});
