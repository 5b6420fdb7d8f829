import { createHash } from 'node:crypto';
import type { HeldElsewhere, PlanContext } from '../../sdk/index.js';
import { asCompleted } from './as-completed.js';
import { TOKEN_LIFE_MS } from './check-schedule.js';
import { decideClaim, type ClaimDecision } from './decide-claim.js';
import {
  decideDomain,
  isOverruled,
  lookupObstacle,
  type Check,
  type DomainDecision,
} from './decide-domain.js';
import type { Proposed } from './declaration.js';
import { parseDomainName } from './domain-name.js';
import type { ClaimCandidate, DueDomain } from './facts.js';
import type { Lookups } from './lookups.js';
import {
  findProof,
  httpsVerdict,
  negativeTtlSeconds,
  txtVerdict,
  challengeName,
  challengeUrl,
  dnsVerdict,
  type Answers,
} from './proof.js';
import { CLAIM_CANDIDATES, DUE_DOMAINS } from './queries.js';
import { remembered } from './remembered.js';

type Context = PlanContext<Lookups>;

/** Names looked up at the same time. Each holds a socket or two for as long as a slow server takes. */
const NAMES_AT_ONCE = 64;

/**
 * Proposes what domain-claim would change in a region, for the units admitted: first the domains that are
 * due for a check, as the answers come in; then the claims on domains that the database has as verified. A
 * domain verified by this very plan is claimed on by the next one, once that stands.
 */
export async function* plan(context: Context): AsyncGenerator<Proposed> {
  const unsettled = new Set<string>();
  for await (const change of domainChanges(context)) {
    // Claims on what this plan withdraws are not for this plan. Few, unless a cap will refuse the plan.
    if (change.kind === 'at-risk' || change.kind === 'contest') unsettled.add(String(change.before?.name));
    yield change;
  }
  yield* claims(context, unsettled);
}

async function* domainChanges(context: Context): AsyncGenerator<Proposed> {
  const names = byName(admittedDomains(context));
  for await (const changes of asCompleted(names, NAMES_AT_ONCE, (rows) => checkName(context, rows))) {
    context.signal.throwIfAborted();
    yield* changes;
  }
}

async function* admittedDomains({ rows, region, clock, units }: Context): AsyncGenerator<DueDomain> {
  const now = clock.now();
  const oldestToken = new Date(now.getTime() - TOKEN_LIFE_MS);
  const due = rows<DueDomain>(DUE_DOMAINS, [region, now.toISOString(), oldestToken.toISOString()]);
  for await (const row of due) {
    if (units.has(row.organisation_id)) yield row;
  }
}

/**
 * Neighbouring rows of one name together: they are judged by the same answers, so that one name cannot be
 * verified for two organisations in one plan.
 */
async function* byName(rows: AsyncIterable<DueDomain>): AsyncGenerator<readonly DueDomain[]> {
  let group: DueDomain[] = [];
  for await (const row of rows) {
    if (group[0] !== undefined && group[0].name !== row.name) {
      yield group;
      group = [];
    }
    group.push(row);
  }
  if (group.length > 0) yield group;
}

async function checkName(context: Context, rows: readonly DueDomain[]): Promise<readonly Proposed[]> {
  const readable = rows.filter((row) => !isOverruled(row) && lookupObstacle(row) === undefined);
  const first = readable[0];
  const tokens = readable.flatMap(({ token, rival_tokens }) => [token ?? '', ...tokensOf(rival_tokens)]);
  const look = first === undefined ? undefined : await lookUp(context, first.name, [...new Set(tokens)]);
  const proved = readable.find(
    ({ state, token, proof }) =>
      state === 'PENDING' && look && findProof(look.answers, token ?? '', proof).verdict === 'PRESENT',
  );
  const elsewhere = proved && (await context.heldElsewhere('domain', proved.name));
  return rows.flatMap((row) => {
    const seen = readable.includes(row) ? look : undefined;
    const check = seen === undefined ? lookupObstacle(row) : checkOf(row, seen, elsewhere);
    const decision = decideDomain(row, check, context.clock.now().getTime());
    return decision === undefined ? [] : [domainChange(row, decision, seen, elsewhere)];
  });
}

function checkOf(row: DueDomain, look: Look, elsewhere: HeldElsewhere | undefined): Check {
  return {
    ...findProof(look.answers, row.token ?? '', row.proof),
    startedMs: look.startedMs,
    finishedMs: look.finishedMs,
    negativeTtlSeconds: negativeTtlSeconds(look.answers),
    rivalPresent: tokensOf(row.rival_tokens).some(
      (token) => findProof(look.answers, token, null).verdict === 'PRESENT',
    ),
    ownedElsewhereMs: elsewhere?.asOf.getTime() ?? null,
  };
}

function tokensOf(json: string): readonly string[] {
  return JSON.parse(json) as string[];
}

function domainChange(
  row: DueDomain,
  decision: DomainDecision,
  look: Look | undefined,
  elsewhere: HeldElsewhere | undefined,
): Proposed {
  const { kind, reason, before, after } = decision;
  return {
    resource: 'domain',
    key: row.id,
    kind,
    unit: row.organisation_id,
    before,
    after,
    evidence: {
      reason,
      ...refusedBy(row.name, reason),
      requestId: row.request_id,
      ...(look !== undefined && row.token !== null && lookEvidence(look, row.token)),
      // Where, and not who.
      ...(reason === 'name-owned-elsewhere' &&
        elsewhere !== undefined && {
          ownedElsewhere: { regions: elsewhere.regions, seenAt: elsewhere.asOf.toISOString() },
        }),
    },
  };
}

/** The entry of the list that refuses a name, which an installation may allow. */
function refusedBy(name: string, reason: string): { readonly provider?: object } {
  const parsed = parseDomainName(name);
  if (parsed.ok || parsed.reason !== reason || !('entry' in parsed)) return {};
  return { provider: { entry: parsed.entry, list: parsed.list } };
}

/** What each side said, in words: the verdict on this token, or why there is none. */
function lookEvidence({ answers, startedMs, finishedMs }: Look, token: string) {
  const dns = answers.dns.map(({ perspective, answer }) => [
    perspective,
    answer.kind === 'records' ? txtVerdict(answer, token) : answer.code,
  ]);
  const { https } = answers;
  return {
    token: fingerprint(token),
    dns: Object.fromEntries(dns) as Record<string, string>,
    ...(https !== null && {
      https: https.kind === 'indeterminate' ? https.code : httpsVerdict(https, token),
    }),
    checkStartedAt: new Date(startedMs).toISOString(),
    checkFinishedAt: new Date(finishedMs).toISOString(),
  };
}

async function* claims(context: Context, unsettled: ReadonlySet<string>): AsyncGenerator<Proposed> {
  const { rows, region, units, clock, signal } = context;
  for await (const candidate of rows<ClaimCandidate>(CLAIM_CANDIDATES, [region])) {
    signal.throwIfAborted();
    if (!units.has(candidate.domain_organisation_id) || unsettled.has(candidate.domain_name)) continue;
    const decision = decideClaim(candidate, region, clock.now().getTime());
    if (decision.ok) yield claimChange(candidate, decision);
  }
}

function claimChange(candidate: ClaimCandidate, decision: Extract<ClaimDecision, { ok: true }>): Proposed {
  return {
    resource: 'account',
    key: candidate.id,
    kind: 'claim',
    unit: candidate.domain_organisation_id,
    before: decision.before,
    after: decision.after,
    requires: requirements(candidate),
    evidence: {
      domainId: candidate.domain_id,
      requestId: candidate.domain_request_id,
      requestedBy: candidate.requested_by,
      token: fingerprint(candidate.token ?? ''),
      proof: candidate.proof,
      checkStartedAt: candidate.check_started_at,
      proofSeenAt: candidate.proof_seen_at,
      consent: candidate.consent,
    },
  };
}

/** What a claim rests on and others may take back while it is planned: a withdrawal must reach the write. */
function requirements(candidate: ClaimCandidate): NonNullable<Proposed['requires']> {
  const { domain_id, domain_state, domain_organisation_id, domain_request_id } = candidate;
  return [
    {
      resource: 'domain',
      key: domain_id,
      image: { state: domain_state, organisation_id: domain_organisation_id, request_id: domain_request_id },
    },
    {
      resource: 'request',
      key: domain_request_id ?? '',
      image: { withdrawn_at: candidate.withdrawn_at, requested_by: candidate.requested_by },
    },
    {
      resource: 'organisation',
      key: domain_organisation_id,
      image: { suspended_at: candidate.organisation_suspended_at, consent: candidate.consent },
    },
  ];
}

/** Tells tokens apart in a journal without repeating them. */
const fingerprint = remembered((token) => createHash('sha256').update(token).digest('hex').slice(0, 16));

/** What was looked up for one name, and when it began and ended, by the database's clock. */
interface Look {
  readonly answers: Answers;
  readonly startedMs: number;
  readonly finishedMs: number;
}

/**
 * Looks for the challenges of one name: TXT from every perspective, and the file over HTTPS unless DNS has
 * shown every token that is looked for. Never throws for what servers say; rejects when the signal aborts.
 */
async function lookUp(
  { clients, clock, signal, progressed }: Pick<Context, 'clients' | 'clock' | 'signal' | 'progressed'>,
  name: string,
  tokens: readonly string[],
): Promise<Look> {
  const startedMs = clock.now().getTime();
  const dns = await clients.dns.txt(challengeName(name), signal);
  progressed();
  const shown = tokens.every((token) => dnsVerdict(dns, token) === 'PRESENT');
  const https = shown ? null : await clients.https.getText(challengeUrl(name), signal);
  progressed();
  return { answers: { dns, https }, startedMs, finishedMs: clock.now().getTime() };
}
