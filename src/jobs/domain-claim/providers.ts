import { parse } from 'tldts';
import listedProviders from 'email-providers';
import { HOSTING_PROVIDERS, MAIL_PROVIDERS } from './provider-domains.js';
import { forgetAll } from './remembered.js';

/** What refuses a name: an entry of a list, at or under which it is. */
export interface Provider {
  readonly reason: 'mail-provider' | 'hosting-provider' | 'denied';
  readonly entry: string;
  readonly list:
    | 'the list of mail providers'
    | 'the package email-providers'
    | 'the list of hosting providers'
    | 'the providers file';
}

/** What an installation has otherwise than the lists: names, each with all names under it. */
export interface ProviderOverrides {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

/** In the list of mail providers, and none: names for documentation (RFC 2606). */
const NO_PROVIDERS = new Set(['example.com', 'example.net', 'example.org']);

/** The first that has a name counts. */
const LISTS: readonly (readonly [Provider['reason'], Provider['list'], ReadonlySet<string>])[] = [
  ['mail-provider', 'the list of mail providers', new Set(MAIL_PROVIDERS)],
  [
    'mail-provider',
    'the package email-providers',
    // A whole public suffix is nobody's mail service.
    new Set(
      listedProviders.filter(
        (name) => !NO_PROVIDERS.has(name) && parse(name, { allowPrivateDomains: false }).domain !== null,
      ),
    ),
  ],
  ['hosting-provider', 'the list of hosting providers', new Set(HOSTING_PROVIDERS)],
];

let overrides: Readonly<Record<keyof ProviderOverrides, ReadonlySet<string>>> = {
  allow: new Set(),
  deny: new Set(),
};

/** Has this process go by an installation's overrides from now on. They are part of the job's version there. */
export function overrideProviders({ allow, deny }: ProviderOverrides): void {
  overrides = { allow: new Set(allow), deny: new Set(deny) };
  forgetAll();
}

/** The overrides that change nothing: allowed names that no list refuses. */
export function needlessAllowed(): readonly string[] {
  return [...overrides.allow].filter((name) => endsOf(name).every((end) => listed(end) === undefined));
}

/** What refuses a name. Of what an installation has otherwise, and of the lists, the nearest entry above a name counts. */
export function providerOf(name: string): Provider | undefined {
  for (const end of endsOf(name)) {
    if (overrides.allow.has(end)) return undefined;
    if (overrides.deny.has(end)) return { reason: 'denied', entry: end, list: 'the providers file' };
    const found = listed(end);
    if (found !== undefined) return found;
  }
  return undefined;
}

function listed(name: string): Provider | undefined {
  const found = LISTS.find(([, , names]) => names.has(name));
  return found && { reason: found[0], entry: name, list: found[1] };
}

/** `a.b.c`, `b.c`, `c`. */
function endsOf(name: string): string[] {
  const labels = name.split('.');
  return labels.map((_, from) => labels.slice(from).join('.'));
}
