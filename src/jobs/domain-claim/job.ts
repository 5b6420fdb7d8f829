import { defineJob, type JobDefinition } from '../../sdk/contract.js';
import type { DomainKind } from './domain-states.js';
import { ACCOUNT_CHANGES, ACCOUNT_COMPARES, DOMAIN_CHANGES, DOMAIN_COMPARES } from './facts.js';
import { plan } from './plan.js';

const KINDS: Readonly<Record<DomainKind, 'domain'>> & { readonly claim: 'account' } = {
  claim: 'account',
  verify: 'domain',
  confirm: 'domain',
  'at-risk': 'domain',
  recover: 'domain',
  lapse: 'domain',
  expire: 'domain',
  contest: 'domain',
  note: 'domain',
};

/**
 * Verifies the domains that organisations' admins asked for, and claims the accounts at verified domains for
 * organisations that consented to it.
 */
export const domainClaim: JobDefinition = defineJob({
  name: 'domain-claim',
  version: '1.0.0',
  unit: { table: 'directory.organisation', key: 'id', region: 'home_region' },
  resources: {
    domain: {
      table: 'directory.domain',
      key: 'id',
      changes: DOMAIN_CHANGES,
      compares: DOMAIN_COMPARES,
      region: 'home_region',
    },
    account: {
      table: 'directory.account',
      key: 'id',
      changes: ACCOUNT_CHANGES,
      compares: ACCOUNT_COMPARES,
      region: 'home_region',
      usedIn: { table: 'directory.product_use', key: 'account_id', product: 'product' },
    },
    // Never changed: claims rest on them.
    request: {
      table: 'directory.request',
      key: 'id',
      changes: [],
      compares: ['withdrawn_at', 'requested_by'],
    },
    organisation: {
      table: 'directory.organisation',
      key: 'id',
      changes: [],
      compares: ['suspended_at', 'consent'],
      region: 'home_region',
    },
  },
  kinds: KINDS,
  plan,
});
