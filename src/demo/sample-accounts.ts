import type { Random } from './random.js';
import { localPart } from './sample-names.js';
import type { Plot } from './sample-plots.js';
import { Ago, type AccountRow, SAMPLE_REGIONS, sampleId } from './sample-rows.js';

/** A domain with its row's id, for the accounts at its name. */
export type Place = Plot & { readonly domainId: string };

/** Addresses that look like one at the domain, and are not, or not for certain. */
const ODD_EMAILS: readonly ((local: string, domain: string) => string)[] = [
  (local, domain) => `${local}@evil-${domain}`,
  (local, domain) => `${local}@${domain}@evil-mail-0.com`,
  (local, domain) => `"${local}" <${local}@${domain}>`,
  (local, domain) => `${local}@${domain}\nbcc: ${local}@evil-mail-0.com`,
  (local, domain) => `${local}@mail.${domain}`,
  (local, domain) => `${local}@${domain}.`,
  (local, domain) => `${local}@${domain} `,
  (local, domain) => `${local}..x@${domain}`,
  (local, domain) => `${local}%40x@${domain.replace('.', '%2e')}`,
  (local) => `${local}@localhost`,
  (local) => `${local}@co.uk`,
  (local) => local,
];
const PUBLIC_MAIL = ['gmail.com', 'outlook.com', 'yahoo.co.jp', 'gmx.de', 'icloud.com', 'proton.me'];

/** How many of a thousand accounts at a domain are in each state, by the domain's own state. */
type Shares = Readonly<Record<AccountRow['state'], number>>;
const SETTLED: Shares = { UNMANAGED: 450, MANAGED: 450, RELEASED: 40, EXCLUDED: 40, CONFLICT: 20 };
const FADING: Shares = { UNMANAGED: 300, MANAGED: 600, RELEASED: 50, EXCLUDED: 30, CONFLICT: 20 };
const NEVER_OWNED: Shares = { UNMANAGED: 960, MANAGED: 0, RELEASED: 10, EXCLUDED: 20, CONFLICT: 10 };
const SHARES: Readonly<Record<string, Shares>> = { VERIFIED: SETTLED, AT_RISK: FADING, LAPSED: FADING };

/** Makes accounts one by one, with ids in the order of their making and no e-mail twice. */
export class AccountMaker {
  readonly #random: Random;
  readonly #ago: Ago;
  readonly #emails = new Set<string>();
  readonly rows: AccountRow[] = [];

  constructor(random: Random, ago: Ago) {
    this.#random = random;
    this.#ago = ago;
  }

  /** An account at a domain's name, in any state that accounts there can be in. */
  at(place: Place): AccountRow {
    const random = this.#random;
    const shares = SHARES[place.scene.state] ?? NEVER_OWNED;
    const { row: organisation } = place.organisation;
    const drawn = random.weighted(shares);
    const state = drawn === 'MANAGED' && organisation.consent === 'none' ? 'UNMANAGED' : drawn;
    const kind = random.weighted({ person: 960, bot: 25, service: 15 });
    const gone = random.weighted({ no: 960, deactivated: 30, deleted: 10 });
    const managed = state === 'MANAGED' || state === 'CONFLICT';
    const selected = organisation.consent === 'selected' && (managed || random.chance(0.5));
    return this.#make({
      email: this.#email(place.name, kind === 'person' ? '' : `${kind}.`),
      email_verified: random.chance(0.95),
      kind,
      // Some live elsewhere: their own region's run is to work them, not this one's.
      home_region: random.chance(0.02) ? random.pick(SAMPLE_REGIONS) : organisation.home_region,
      state,
      ...(managed && this.#claimedFor(place)),
      selected_by: selected ? organisation.id : null,
      deactivated_at: gone === 'deactivated' ? this.#ago.days(random.between(1, 300)) : null,
      deleted_at: gone === 'deleted' ? this.#ago.days(random.between(1, 300)) : null,
    });
  }

  /** A person with a working login at a domain's name, fit to administer an organisation. */
  admin(place: Place): AccountRow {
    return this.#make({
      email: this.#email(place.name),
      home_region: place.organisation.row.home_region,
    });
  }

  /** An account that is no organisation's: at a mail provider. */
  atPublicMail(region: string): AccountRow {
    return this.#make({ email: this.#email(this.#random.pick(PUBLIC_MAIL)), home_region: region });
  }

  /** An account whose address no claim may rest on; `turn` goes through them all. */
  odd(place: Place, turn: number): AccountRow {
    const form = ODD_EMAILS[turn % ODD_EMAILS.length];
    const local = `${localPart(this.#random)}.${turn}`;
    const { id, home_region } = place.organisation.row;
    return this.#make({
      email: form === undefined ? local : form(local, place.name),
      home_region,
      selected_by: id,
    });
  }

  /** An account at an organisation's domain that another organisation manages. */
  takenBy(place: Place, other: Place): AccountRow {
    return this.#make({
      email: this.#email(place.name),
      home_region: place.organisation.row.home_region,
      state: 'MANAGED',
      ...this.#claimedFor(other),
    });
  }

  #claimedFor(place: Place): Partial<AccountRow> {
    const since = place.times.verified ?? 20 * 86_400_000;
    return {
      organisation_id: place.organisation.row.id,
      claimed_domain_id: place.domainId,
      claimed_at: this.#ago.at(since * (0.2 + 0.7 * this.#random.unit())),
    };
  }

  #email(domain: string, before = ''): string {
    const local = before + localPart(this.#random);
    let email = `${local}@${domain}`;
    for (let number = 2; this.#emails.has(email); number += 1) email = `${local}${number}@${domain}`;
    this.#emails.add(email);
    return email;
  }

  #make(facts: Pick<AccountRow, 'email' | 'home_region'> & Partial<AccountRow>): AccountRow {
    const row: AccountRow = {
      id: sampleId('account', this.rows.length, 5),
      email_verified: true,
      kind: 'person',
      state: 'UNMANAGED',
      organisation_id: null,
      claimed_domain_id: null,
      claimed_at: null,
      selected_by: null,
      deactivated_at: null,
      deleted_at: null,
      ...facts,
    };
    this.rows.push(row);
    return row;
  }
}
