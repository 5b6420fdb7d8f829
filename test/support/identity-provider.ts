import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll } from '@jest/globals';
import type pg from 'pg';
import type { SignInSettings } from '../../src/access/identity-file.js';
import { linkIdentity } from '../../src/access/identities.js';
import { Workflows } from '../../src/access/workflows.js';
import { person, tokenOf } from './people.js';

export const CLIENT_SECRET = 'a secret that is long enough';

/** The identity file's part for it, where these groups give something. */
export function signInSettings(issuer: string, groups: SignInSettings['groups']): SignInSettings {
  return {
    ...{ issuer, clientId: 'portcullis', clientSecret: CLIENT_SECRET, clientAuth: 'post', label: 'Acme' },
    ...{ scope: 'openid profile groups', nameClaim: 'preferred_username', groupsClaim: 'groups' },
    groups,
  };
}

/** A real OpenID provider, with two clients: `portcullis`, at the address given, and `another`. */
export interface TestProvider {
  readonly issuer: string;
  /** Whom it calls `subject` is in these groups from now on; their name is what follows `subject-`. */
  groups(subject: string, of: readonly string[]): Promise<void>;
  /** Whom it calls `subject` has no account there any more. */
  disable(subject: string): Promise<void>;
  /** It answers 503 from now on, or as it does. */
  away(is: boolean): Promise<void>;
  /** Its clock is so far ahead of ours. */
  skew(ms: number): Promise<void>;
  /** What is wrong with its ID tokens from now on. */
  fault(what: 'audience' | undefined): Promise<void>;
  /** A token with these claims, signed by it. */
  mint(claims: Readonly<Record<string, unknown>>, typ?: string): Promise<string>;
  /** Ends it before the tests of the file are over. */
  stop(): Promise<void>;
}

const SCRIPT = fileURLToPath(new URL('identity-provider.mjs', import.meta.url));

/** Starts it for the tests of this file. `portcullis`: where people come back to. */
export async function startIdentityProvider(portcullis: string): Promise<TestProvider> {
  const child = fork(SCRIPT, [portcullis, CLIENT_SECRET], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let complaints = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  const ended = once(child, 'exit');
  const waiting = new Map<number, (answer: unknown) => void>();
  const started = new Promise<string>((resolve, reject) => {
    child.on('message', (said: { issuer?: string; id?: number; answer?: unknown }) => {
      if (said.issuer !== undefined) resolve(said.issuer);
      else waiting.get(said.id ?? -1)?.(said.answer);
    });
    void ended.then(() => reject(new Error(`the identity provider ended: ${complaints}`)));
  });
  const stop = async (): Promise<void> => {
    if (child.connected) child.disconnect();
    await ended;
  };
  afterAll(stop);
  let asked = 0;
  const tell = async (order: string, rest: object): Promise<void> => {
    await ask(order, rest);
  };
  const ask = (order: string, rest: object): Promise<unknown> => {
    asked += 1;
    const id = asked;
    return new Promise((resolve, reject) => {
      waiting.set(id, resolve);
      child.send({ id, order, ...rest }, (error) => {
        if (error !== null) reject(error);
      });
    });
  };
  return {
    issuer: await started,
    groups: (subject, of) => tell('groups', { subject, of }),
    disable: (subject) => tell('disable', { subject }),
    away: (is) => tell('away', { is }),
    skew: (ms) => tell('skew', { ms }),
    fault: (what) => tell('fault', { what }),
    mint: async (claims, typ) => String(await ask('mint', { claims, typ })),
    stop,
  };
}

/** Workflows that a server trusts, and their own tokens, each new; `root` of this database has started them. */
export async function trustedWorkflows(owner: pg.Pool) {
  const idp = await startIdentityProvider('http://127.0.0.1:1');
  const { issuer } = idp;
  await tokenOf(owner, { name: 'workflow-owner', role: 'operator' });
  await linkIdentity(owner, { name: 'workflow-owner', issuer, subject: '1' }, person('root', 'admin'));
  const claims = { repository: ['acme/gates'] };
  return {
    workflows: new Workflows([
      { name: 'release', issuer, audience: 'portcullis', claims, actor: 'actor_id', minutes: 15 },
    ]),
    workflowToken: () => idp.mint({ aud: 'portcullis', repository: 'acme/gates', actor_id: '1' }),
  };
}

/** A browser, as far as signing in needs one: it follows redirects, keeps cookies by site, and fills in the provider's form. */
export class Browser {
  readonly #cookies = new Map<string, Map<string, string>>();

  cookiesFor(url: string): string {
    const jar = this.#cookies.get(new URL(url).origin) ?? new Map<string, string>();
    return [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  async go(url: string, init: RequestInit = {}): Promise<Response> {
    const { origin } = new URL(url);
    const headers = new Headers(init.headers);
    const cookies = this.cookiesFor(url);
    if (cookies !== '') headers.set('cookie', cookies);
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    const jar = this.#cookies.get(origin) ?? new Map<string, string>();
    this.#cookies.set(origin, jar);
    for (const cookie of response.headers.getSetCookie()) {
      const [pair = '', ...attributes] = cookie.split(';');
      const [name = '', ...value] = pair.split('=');
      const expires = attributes.find((each) => each.trim().toLowerCase().startsWith('expires='));
      const isGone = expires !== undefined && Date.parse(expires.split('=')[1] ?? '') < Date.now();
      if (isGone) jar.delete(name);
      else jar.set(name, value.join('='));
    }
    return response;
  }

  /** Follows redirects from there, signs in at the provider as `subject`, and stops before the address that `until` finds. */
  async signIn(url: string, subject: string, until: (url: string) => boolean = () => false): Promise<string> {
    let at = url;
    let init: RequestInit = {};
    for (let step = 0; step < 15; step += 1) {
      if (until(at)) return at;
      const response = await this.go(at, init);
      const next = response.headers.get('location');
      init = {};
      if (next !== null) {
        at = new URL(next, at).href;
        continue;
      }
      const page = await response.text();
      if (!page.includes('name="prompt" value="login"')) return at;
      at = new URL(/action="([^"]+)"/.exec(page)?.[1] ?? '', at).href;
      init = {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ prompt: 'login', login: subject, password: 'any' }).toString(),
      };
    }
    throw new Error(`still being sent about, now to ${at}`);
  }
}
