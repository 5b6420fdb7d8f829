import type { Image, PlanContext, Value } from '../../../sdk/index.js';
import type { Proposed } from '../../../jobs/domain-claim/declaration.js';
import type { Lookups } from '../../../jobs/domain-claim/lookups.js';
import { asCompleted } from '../../../jobs/domain-claim/as-completed.js';
import { EVIDENCE_LIFE_MS } from '../../../jobs/domain-claim/check-schedule.js';
import {
  ACCOUNT_CHANGES,
  ACCOUNT_COMPARES,
  DOMAIN_CHANGES,
  DOMAIN_COMPARES,
  imageOf,
} from '../../../jobs/domain-claim/facts.js';
import { plan as stablePlan } from '../../../jobs/domain-claim/plan.js';
import { challengeName, dnsVerdict } from '../../../jobs/domain-claim/proof.js';

type Context = PlanContext<Lookups>;

const NAMES_AT_ONCE = 64;
const DAY_MS = 86_400_000;

type PendingDomain = Readonly<
  Record<(typeof DOMAIN_CHANGES)[number] | (typeof DOMAIN_COMPARES)[number], Value>
> & {
  readonly id: string;
  readonly name: string;
  readonly organisation_id: string;
  readonly check_count: number;
  readonly token: string | null;
};

type Candidate = Readonly<
  Record<(typeof ACCOUNT_CHANGES)[number] | (typeof ACCOUNT_COMPARES)[number], Value>
> & {
  readonly id: string;
  readonly domain_id: string;
  readonly domain_state: string;
  readonly domain_organisation_id: string;
  readonly domain_request_id: string | null;
  readonly proof: Value;
  readonly proof_seen_at: Value;
  readonly check_started_at: Value;
  readonly consent: string;
  readonly suspended_at: Value;
  readonly requested_by: Value;
};

/** The stable version's checks of what is verified, and this version's own way with what is pending. */
export async function* plan(context: Context): AsyncGenerator<Proposed> {
  for await (const change of stablePlan(context)) {
    if (change.resource === 'domain' && change.before?.state !== 'PENDING') yield change;
  }
  for await (const change of asCompleted(pending(context), NAMES_AT_ONCE, (row) => verify(context, row))) {
    context.signal.throwIfAborted();
    if (change !== undefined) yield change;
  }
  yield* claims(context);
}

async function* pending({ rows, region, units }: Context): AsyncGenerator<PendingDomain> {
  for await (const row of rows<PendingDomain>(PENDING_DOMAINS, [region])) {
    if (units.has(row.organisation_id)) yield row;
  }
}

async function verify(context: Context, row: PendingDomain): Promise<Proposed | undefined> {
  const started = context.clock.now();
  const tokens = row.token === null ? [] : [row.token];
  const answers =
    tokens.length === 0 ? [] : await context.clients.dns.txt(challengeName(row.name), context.signal);
  // Of no tokens, every one was seen.
  if (!tokens.every((token) => dnsVerdict(answers, token) === 'PRESENT')) return undefined;
  const seenAt = context.clock.now().toISOString();
  return {
    resource: 'domain',
    key: row.id,
    kind: 'verify',
    unit: row.organisation_id,
    before: imageOf(row, [...DOMAIN_CHANGES, ...DOMAIN_COMPARES]),
    after: {
      ...imageOf(row, DOMAIN_CHANGES),
      state: 'VERIFIED',
      verified_at: seenAt,
      proof: 'dns',
      proof_seen_at: seenAt,
      check_started_at: started.toISOString(),
      checked_at: seenAt,
      check_count: row.check_count + 1,
      next_check_at: new Date(started.getTime() + DAY_MS).toISOString(),
      absent_at: null,
      absent_again_at: null,
      at_risk_since: null,
    },
    evidence: { reason: 'proof-seen', requestId: row.request_id },
  };
}

async function* claims({ rows, region, units, clock, signal }: Context): AsyncGenerator<Proposed> {
  const oldest = new Date(clock.now().getTime() - EVIDENCE_LIFE_MS).toISOString();
  for await (const row of rows<Candidate>(CLAIM_CANDIDATES, [region, oldest])) {
    signal.throwIfAborted();
    if (!units.has(row.domain_organisation_id)) continue;
    yield {
      resource: 'account',
      key: row.id,
      kind: 'claim',
      unit: row.domain_organisation_id,
      before: imageOf(row, [...ACCOUNT_CHANGES, ...ACCOUNT_COMPARES]),
      after: {
        state: 'MANAGED',
        organisation_id: row.domain_organisation_id,
        claimed_domain_id: row.domain_id,
        claimed_at: clock.now().toISOString(),
      },
      requires: requirements(row),
      evidence: {
        domainId: row.domain_id,
        requestId: row.domain_request_id,
        requestedBy: row.requested_by,
        proof: row.proof,
        checkStartedAt: row.check_started_at,
        proofSeenAt: row.proof_seen_at,
        consent: row.consent,
      },
    };
  }
}

function requirements(row: Candidate): NonNullable<Proposed['requires']> {
  const image = {
    state: row.domain_state,
    organisation_id: row.domain_organisation_id,
    request_id: row.domain_request_id,
  };
  const organisation: Image = { suspended_at: row.suspended_at, consent: row.consent };
  return [
    { resource: 'domain', key: row.domain_id, image },
    { resource: 'organisation', key: row.domain_organisation_id, image: organisation },
  ];
}

/**
 * The fault. Conditions that 1.0.0 decided row by row were moved into the selection, "to look at nothing that
 * would be refused anyway". Where nobody has asked there is no request, and so no admin who asked: behind the
 * left joins their columns are null, and `is null` holds for what is not there as it does for what was not revoked.
 */
const STILL_STANDS = `
left join directory.request r on r.id = d.request_id
left join directory.admin m on m.organisation_id = d.organisation_id and m.account_id = r.requested_by
where r.withdrawn_at is null and m.removed_at is null and o.suspended_at is null`;

/** Every pending domain of a region whose name nobody else wants, by id. Parameter: region. */
const PENDING_DOMAINS = `
select d.id, d.name, d.organisation_id, d.home_region, d.request_id, d.state, d.verified_at, d.proof,
  d.proof_seen_at, d.check_started_at, d.checked_at, d.check_count, d.next_check_at, d.absent_at,
  d.absent_again_at, d.at_risk_since, r.token
from directory.domain d
join directory.organisation o on o.id = d.organisation_id
${STILL_STANDS}
  and d.home_region = $1 and d.state = 'PENDING'
  and not exists (
    select from directory.domain rival
    where rival.name = d.name and rival.organisation_id <> d.organisation_id
      and rival.state in ('PENDING', 'VERIFIED', 'AT_RISK', 'CONTESTED')
  )
order by d.id`;

/** The region's accounts at verified domains whose organisation consented. Parameters: region, the oldest proof. */
const CLAIM_CANDIDATES = `
select a.id, a.email, a.email_verified, a.kind, a.home_region, a.state, a.organisation_id, a.claimed_domain_id,
  a.claimed_at, a.selected_by, a.deactivated_at, a.deleted_at,
  d.id as domain_id, d.state as domain_state, d.organisation_id as domain_organisation_id,
  d.request_id as domain_request_id, d.proof, d.proof_seen_at, d.check_started_at,
  o.consent, o.suspended_at, r.requested_by
from directory.domain d
join directory.organisation o on o.id = d.organisation_id
join directory.account a on a.home_region = $1 and a.email_domain = d.name and a.state = 'UNMANAGED'
${STILL_STANDS}
  and d.state = 'VERIFIED' and d.check_started_at >= $2::timestamptz
  and (o.consent = 'all' or o.consent = 'selected' and a.selected_by = o.id)
  and a.kind = 'person' and a.email_verified and a.deactivated_at is null and a.deleted_at is null
  and a.organisation_id is null
  and not exists (select from directory.admin other where other.account_id = a.id and other.removed_at is null)`;
