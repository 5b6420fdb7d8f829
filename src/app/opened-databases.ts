import { setTimeout } from 'node:timers/promises';
import { PortcullisError } from '../kernel/errors.js';
import type { Policy } from '../flags/policy.js';
import type { RegionDatabase, RegionDatabases } from '../regions/region-database.js';
import type { GivenLogins } from '../postgres/logins.js';
import { OpenedDatabase, type OpenedDatabaseOptions } from './opened-database.js';

/** How a process reaches a region's database. */
export interface RegionAddress {
  /** The owner's URL. */
  readonly url: string;
  readonly given: GivenLogins;
}

/**
 * The regions' databases: the control plane's own, and those whose addresses the environment has. Databases are
 * opened as policies name them; one that cannot be reached keeps none of the others from being opened.
 */
export class OpenedDatabases implements RegionDatabases {
  readonly #home: OpenedDatabase;
  readonly #addresses: Readonly<Record<string, RegionAddress>>;
  readonly #options: Pick<OpenedDatabaseOptions, 'jobs' | 'purpose' | 'concurrentRuns'>;
  /** By address: two variables may name one database. */
  readonly #opened = new Map<string, OpenedDatabase>();
  readonly #unset = new Map<string, UnsetDatabase>();
  #places = new Map<string, RegionDatabase>();

  constructor(
    home: OpenedDatabase,
    addresses: Readonly<Record<string, RegionAddress>>,
    options: Pick<OpenedDatabaseOptions, 'jobs' | 'purpose' | 'concurrentRuns'>,
  ) {
    this.#home = home;
    this.#addresses = addresses;
    this.#options = options;
    this.#opened.set(addressOf(home.url), home);
  }

  of(region: string): RegionDatabase {
    return this.#places.get(region) ?? this.#home;
  }

  all(): readonly RegionDatabase[] {
    return [...new Set([this.#home, ...this.#places.values()])];
  }

  /** Puts each region where the policies say it is, and begins to open what is new. */
  place(policies: readonly Pick<Policy, 'databases'>[]): void {
    const places = new Map<string, RegionDatabase>();
    for (const { databases = {} } of policies) {
      for (const [region, variable] of Object.entries(databases)) {
        if (!places.has(region)) places.set(region, this.#at(variable));
      }
    }
    this.#places = places;
  }

  /** Every database that this process was given an address of, whether a policy names it or not. */
  given(): readonly OpenedDatabase[] {
    for (const variable of Object.keys(this.#addresses)) this.#at(variable);
    return [...this.#opened.values()];
  }

  /** The databases that are opened, or tried to be. */
  opened(): readonly OpenedDatabase[] {
    return [...this.#opened.values()];
  }

  /** Waits until each database has been tried to be opened, or as long as that. */
  async settle(ms: number): Promise<void> {
    const limit = new AbortController();
    await Promise.race([
      Promise.all([...this.#opened.values()].map((database) => database.tried)),
      setTimeout(ms, undefined, { signal: limit.signal, ref: false }).catch(() => undefined),
    ]);
    limit.abort();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#opened.values()].map((database) => database.close()));
  }

  #at(variable: string): RegionDatabase {
    const address = this.#addresses[variable];
    if (address === undefined) {
      const known = this.#unset.get(variable) ?? new UnsetDatabase(variable);
      this.#unset.set(variable, known);
      return known;
    }
    const { url, given } = address;
    const known = this.#opened.get(addressOf(url));
    if (known) return known;
    const database = new OpenedDatabase({
      ...this.#options,
      name: variable,
      url,
      given,
      schemas: ['region'],
    });
    this.#opened.set(addressOf(url), database);
    const { purpose } = this.#options;
    if (purpose !== 'kill' && purpose !== 'set-up') void database.prepare();
    return database;
  }
}

/** What tells databases apart: user and options do not. */
function addressOf(url: string): string {
  const { hostname, port, pathname, searchParams } = new URL(url);
  const host = searchParams.get('host') ?? hostname;
  return `${host}:${port === '' ? '5432' : port}${pathname}`;
}

/** A database whose address this process was not given. */
class UnsetDatabase implements RegionDatabase {
  readonly open = false;

  constructor(readonly name: string) {}

  get owner(): never {
    return this.#refuse();
  }

  get kills(): never {
    return this.#refuse();
  }

  get worker(): never {
    return this.#refuse();
  }

  get planner(): never {
    return this.#refuse();
  }

  job(): Promise<never> {
    return Promise.resolve().then(() => this.#refuse());
  }

  /** A process gets no new environment: not in its life. */
  prepare(): Promise<void> {
    return new Promise(() => undefined);
  }

  #refuse(): never {
    throw new PortcullisError('DATABASE_UNREACHABLE', `${this.name} is not set`, {
      hint: `set it to the URL of the owner of the region's database, as for PORTCULLIS_DATABASE_URL`,
    });
  }
}
