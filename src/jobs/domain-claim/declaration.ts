import { table, type ChangeOf } from '../../sdk/index.js';
import type { DomainKind } from './domain-states.js';
import { ACCOUNT_CHANGES, ACCOUNT_COMPARES, DOMAIN_CHANGES, DOMAIN_COMPARES } from './facts.js';

/** The tables that the job changes, and those that its claims rest on. */
export const RESOURCES = {
  domain: table('directory.domain', {
    key: 'id',
    changes: DOMAIN_CHANGES,
    compares: DOMAIN_COMPARES,
    region: 'home_region',
    // One verified owner per domain, whatever databases the regions have; within one, the index domain_owner.
    uniqueAcross: { regions: 'name', while: { state: ['VERIFIED', 'AT_RISK'] } },
  }),
  account: table('directory.account', {
    key: 'id',
    changes: ACCOUNT_CHANGES,
    compares: ACCOUNT_COMPARES,
    region: 'home_region',
    usedIn: { table: 'directory.product_use', key: 'account_id', product: 'product' },
  }),
  // Never changed: claims rest on them.
  request: table('directory.request', { key: 'id', compares: ['withdrawn_at', 'requested_by'] }),
  organisation: table('directory.organisation', {
    key: 'id',
    compares: ['suspended_at', 'consent'],
    region: 'home_region',
  }),
} as const;

export const KINDS: Readonly<Record<DomainKind, 'domain'>> & { readonly claim: 'account' } = {
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

/** A change that the job may propose. */
export type Proposed = ChangeOf<typeof RESOURCES, typeof KINDS>;
