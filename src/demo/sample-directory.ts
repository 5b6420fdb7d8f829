import { type Random, seededRandom } from './random.js';
import { AccountMaker, type Place } from './sample-accounts.js';
import { DOMAIN_SCENES } from './sample-domain-scenes.js';
import { organisationName } from './sample-names.js';
import { type Organisation, plotsOf } from './sample-plots.js';
import {
  type AdminRow,
  Ago,
  type DomainRow,
  type RequestRow,
  SAMPLE_ACCOUNTS,
  SAMPLE_ORGANISATIONS,
  SAMPLE_REGIONS,
  type SampleDirectory,
  sampleId,
  type AccountRow,
  type ProductUseRow,
} from './sample-rows.js';
import { mintToken } from './sample-token.js';
import { PRODUCTS } from './products.js';

const DAY_MS = 86_400_000;

/** Of a region's accounts, those at mail providers, those with odd addresses, and those another one manages. */
const PUBLIC_MAIL = 60;
const ODD = 48;
const TAKEN = 20;

/** The place in a region of the organisation whose only admin has a login at another organisation's domain. */
const ADMINISTERED_FROM_OUTSIDE = 10;

export interface SampleSeed {
  /** The same seed makes the same world, apart from when it is. */
  readonly seed: string;
  readonly now: Date;
}

/**
 * The sample world's directory: 6 regions, 300 organisations, 900 domains and 20,000 accounts, in every state
 * and with every kind of thing wrong that the job must refuse. Depends on the seed and on `now` alone, and
 * on `now` only by shifting every time.
 */
export function sampleDirectory({ seed, now }: SampleSeed): SampleDirectory {
  const ago = new Ago(now);
  const random = seededRandom(seed);
  const organisations = makeOrganisations(random, ago);
  const accounts = new AccountMaker(random, ago);
  const admins: AdminRow[] = [];
  const requests: RequestRow[] = [];
  const domains: DomainRow[] = [];
  let names = 0;
  let places = 0;

  for (const [index, region] of SAMPLE_REGIONS.entries()) {
    const here = organisations.filter(({ row }) => row.home_region === region);
    const plots = plotsOf(random, here, () => (names += 1));
    const placed = plots.map((plot): Place => ({ ...plot, domainId: sampleId('domain', places++, 3) }));
    const staff = makeAdmins(random, ago, accounts, here, placed);
    admins.push(...staff.rows);
    for (const place of placed) {
      const request = makeRequest(random, ago, place, here, staff, requests.length);
      if (request !== undefined) requests.push(request);
      domains.push(makeDomain(random, ago, place, request));
    }
    const until = Math.ceil((SAMPLE_ACCOUNTS * (index + 1)) / SAMPLE_REGIONS.length);
    fillAccounts(random, accounts, region, placed, until);
  }
  return {
    organisation: organisations.map(({ row }) => row),
    account: accounts.rows,
    admin: admins,
    product_use: sampleProducts(seed, accounts.rows),
    request: requests,
    domain: domains,
  };
}

function makeOrganisations(random: Random, ago: Ago): Organisation[] {
  return Array.from({ length: SAMPLE_ORGANISATIONS }, (_, index) => {
    const { name, stem } = organisationName(random);
    const inRegion = Math.floor(index / SAMPLE_REGIONS.length);
    const consent = random.weighted({ all: 60, selected: 25, none: 15 });
    const row = {
      id: sampleId('org', index, 3),
      name,
      home_region: SAMPLE_REGIONS[index % SAMPLE_REGIONS.length] ?? SAMPLE_REGIONS[0],
      suspended_at: inRegion % 25 === 24 ? ago.days(random.between(1, 60)) : null,
      consent,
      consent_at: consent === 'none' ? null : ago.days(random.between(30, 700)),
    };
    return { row, stem };
  });
}

interface Staff {
  readonly rows: readonly AdminRow[];
  /** An admin of the organisation who has stayed, or one who has left. */
  present(random: Random, organisation: Organisation): string;
  former(organisation: Organisation): string;
}

/** Two admins for each organisation, at the first of its domains, and one who was removed yesterday. */
function makeAdmins(
  random: Random,
  ago: Ago,
  accounts: AccountMaker,
  organisations: readonly Organisation[],
  places: readonly Place[],
): Staff {
  const rows: AdminRow[] = [];
  const present = new Map<Organisation, string[]>();
  const former = new Map<Organisation, string>();
  const appoint = (organisation: Organisation, place: Place, removedAt: string | null): string => {
    const account = accounts.admin(place);
    const since = ago.days(random.between(800, 1_500));
    rows.push({ organisation_id: organisation.row.id, account_id: account.id, since, removed_at: removedAt });
    return account.id;
  };
  for (const [index, organisation] of organisations.entries()) {
    const outside = index === ADMINISTERED_FROM_OUTSIDE;
    const place = places.find((each) =>
      outside
        ? each.organisation !== organisation && isClaimedFrom(each)
        : each.organisation === organisation,
    );
    if (place === undefined) throw new Error(`${organisation.row.id} has no domain for its admins`);
    const count = outside ? 1 : 2;
    present.set(
      organisation,
      Array.from({ length: count }, () => appoint(organisation, place, null)),
    );
    if (places.some((each) => each.organisation === organisation && each.scene.flaw === 'admin-removed')) {
      former.set(organisation, appoint(organisation, place, ago.days(1)));
    }
  }
  return {
    rows,
    present: (chooser, organisation) => chooser.pick(present.get(organisation) ?? []),
    former(organisation) {
      const id = former.get(organisation);
      if (id === undefined) throw new Error(`${organisation.row.id} has no former admin`);
      return id;
    },
  };
}

/** Whether accounts are claimed at a domain in the first run. */
function isClaimedFrom({ scene, organisation: { row } }: Place): boolean {
  return scene === DOMAIN_SCENES[0] && row.consent === 'all' && row.suspended_at === null;
}

function makeRequest(
  random: Random,
  ago: Ago,
  place: Place,
  organisations: readonly Organisation[],
  staff: Staff,
  index: number,
): RequestRow | undefined {
  const { flaw, zone } = place.scene;
  if (flaw === 'no-request') return undefined;
  const others = organisations.filter((each) => each !== place.organisation);
  const asking = flaw === 'another-organisation' ? random.pick(others) : place.organisation;
  const requestedBy = flaw === 'admin-removed' ? staff.former(asking) : staff.present(random, asking);
  const { requested } = place.times;
  return {
    id: sampleId('request', index, 3),
    organisation_id: asking.row.id,
    domain_name: place.name,
    requested_by: flaw === 'nobody-asked' ? null : requestedBy,
    requested_at: ago.at(requested),
    withdrawn_at: flaw === 'withdrawn' ? ago.at(requested * 0.5) : null,
    token: mintToken(random, random.pick(zone)),
    token_issued_at: ago.at(requested - random.between(200, 4_000)),
  };
}

/** How long a check takes. */
const CHECK_MS = 180;

function makeDomain(random: Random, ago: Ago, place: Place, request: RequestRow | undefined): DomainRow {
  const { times, scene } = place;
  const ageDays = times.requested / DAY_MS;
  return {
    id: place.domainId,
    name: place.name,
    organisation_id: place.organisation.row.id,
    home_region: place.organisation.row.home_region,
    state: scene.state,
    request_id: request?.id ?? null,
    verified_at: ago.maybe(times.verified),
    proof: scene.proof ?? null,
    proof_seen_at: ago.maybe(times.proofSeen),
    check_started_at: ago.maybe(times.proofSeen === undefined ? undefined : times.proofSeen + CHECK_MS),
    checked_at: ago.maybe(times.checked),
    check_count: scene.state === 'PENDING' ? random.between(1, 5) : Math.ceil(ageDays) + 1,
    next_check_at: ago.maybe(times.nextCheck),
    absent_at: ago.maybe(times.absent),
    absent_again_at: ago.maybe(times.absentAgain),
    at_risk_since: ago.maybe(times.atRisk),
  };
}

/** Fills a region up to so many accounts in all: the special ones, and the rest at its domains, few or many each. */
function fillAccounts(
  random: Random,
  accounts: AccountMaker,
  region: string,
  places: readonly Place[],
  until: number,
): void {
  const fresh = places.filter(isClaimedFrom);
  for (let turn = 0; turn < PUBLIC_MAIL; turn += 1) accounts.atPublicMail(region);
  for (let turn = 0; turn < ODD; turn += 1) accounts.odd(random.pick(fresh), turn);
  for (let turn = 0; turn < TAKEN; turn += 1) {
    const place = random.pick(fresh);
    accounts.takenBy(place, random.pick(fresh.filter((other) => other.organisation !== place.organisation)));
  }
  // A name that two organisations dispute has its accounts once, as those of the one that is first.
  const named = places.filter(
    (place, index) => places.findIndex(({ name }) => name === place.name) === index,
  );
  const sizes = named.map(() => 0.25 - Math.log(1 - random.unit() * 0.98));
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  const left = until - accounts.rows.length;
  let share = 0;
  for (const [index, place] of named.entries()) {
    share += sizes[index] ?? 0;
    const target = until - left + Math.round((left * share) / whole);
    while (accounts.rows.length < target) accounts.at(place);
  }
}

/** The share of accounts that each product is used by. */
const SHARE = 0.4;

/** The products that accounts are used in, drawn apart from everything else: Jira where it would be none. */
function sampleProducts(seed: string, accounts: readonly AccountRow[]): ProductUseRow[] {
  const random = seededRandom(`products of ${seed}`);
  return accounts.flatMap(({ id }) => {
    const drawn = PRODUCTS.filter(() => random.chance(SHARE));
    const used = drawn.length > 0 ? drawn : (['Jira'] as const);
    return used.map((product) => ({ account_id: id, product }));
  });
}
