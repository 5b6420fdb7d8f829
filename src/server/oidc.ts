import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { createRemoteJWKSet, jwtVerify, type JWTVerifyGetKey } from 'jose';
import * as oidc from 'openid-client';
import { z } from 'zod';
import { refused, type AskedAgain, type Vouched } from '../access/identities.js';
import type { SignInSettings } from '../access/identity-file.js';
import { ALGORITHMS } from '../access/workflows.js';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { shorten } from '../kernel/text.js';

/** By how much the provider's clock may differ from ours. */
const TOLERANCE_S = 30;
const ANSWER_S = 10;
/** How old a notice of a sign-out may be: an older one would end sessions that were begun since. */
const NOTICE_S = 120;
/** How long somebody may take at the provider. */
export const TRANSACTION_MS = 600_000;

/** A session lasts no longer. */
const SESSION_MS = 24 * 60 * 60 * 1000;

/** What a browser keeps while its person is at the provider. */
const Transaction = z.strictObject({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  /** The view to show afterwards: a path of ours. */
  to: z.string(),
});
export type Transaction = z.output<typeof Transaction>;

/** The identity provider that people sign in by: its metadata is read when it is first needed, and kept. */
export class Provider {
  readonly #settings: SignInSettings;
  #configuration: Promise<oidc.Configuration> | undefined;
  #keys: JWTVerifyGetKey | undefined;
  readonly sealed: Seal;

  constructor(settings: SignInSettings) {
    this.#settings = settings;
    this.sealed = new Seal(settings.clientSecret);
  }

  get label(): string {
    return this.#settings.label;
  }

  get settings(): SignInSettings {
    return this.#settings;
  }

  /** Where a person signs in, and what their browser keeps until they are back. Throws PROVIDER_UNREACHABLE. */
  async begin(redirectUri: string, to: string): Promise<{ at: URL; transaction: Transaction }> {
    const configuration = await this.#discovered();
    const transaction = {
      state: oidc.randomState(),
      nonce: oidc.randomNonce(),
      verifier: oidc.randomPKCECodeVerifier(),
      to,
    };
    const at = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: this.#settings.scope,
      state: transaction.state,
      nonce: transaction.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(transaction.verifier),
      code_challenge_method: 'S256',
    });
    return { at, transaction };
  }

  /** Whom the provider vouches for, by the address that it sent their browser to. Throws SIGN_IN_REFUSED, PROVIDER_UNREACHABLE. */
  async finish(at: URL, { state, nonce, verifier }: Transaction): Promise<Vouched> {
    const configuration = await this.#discovered();
    return asked(async () => {
      const tokens = await oidc.authorizationCodeGrant(configuration, at, {
        pkceCodeVerifier: verifier,
        expectedState: state,
        expectedNonce: nonce,
        idTokenExpected: true,
      });
      const claims = tokens.claims();
      if (claims === undefined) throw new Error('no ID token came');
      const all = await this.#allClaims(configuration, tokens.access_token, claims);
      const { nameClaim } = this.#settings;
      const name = claimOf(all, nameClaim);
      if (typeof name !== 'string') throw new Error(`it sent no claim ${nameClaim}, which is to name people`);
      const sid = claims['sid'];
      return {
        ...{ issuer: claims.iss, subject: claims.sub, name, groups: this.#groupsIn(all) },
        sid: typeof sid === 'string' ? sid : undefined,
        refresh: this.#sealedRefresh(tokens.refresh_token),
      };
    });
  }

  /**
   * Which groups the subject is in now, by what {@link finish} sealed; `refused`: the provider vouches for them no longer.
   * Throws PROVIDER_UNREACHABLE where it does not say.
   */
  async askAgain(sealed: string, subject: string): Promise<AskedAgain> {
    const refresh = this.sealed.open(z.string(), sealed);
    if (refresh === undefined) return 'refused';
    const configuration = await this.#discovered();
    try {
      const tokens = await oidc.refreshTokenGrant(configuration, refresh);
      const claims = tokens.claims();
      if (claims !== undefined && claims.sub !== subject) return 'refused';
      const all = await this.#allClaims(configuration, tokens.access_token, claims ?? { sub: subject });
      return { groups: this.#groupsIn(all), refresh: this.#sealedRefresh(tokens.refresh_token) };
    } catch (error) {
      if (isNoAnswer(error)) throw unreachable(error);
      return 'refused';
    }
  }

  /** The claims of the ID token, and where those lack something, those of the userinfo address. */
  async #allClaims(
    configuration: oidc.Configuration,
    accessToken: string,
    claims: Readonly<Record<string, unknown>> & { readonly sub: string },
  ): Promise<Readonly<Record<string, unknown>>> {
    const { nameClaim, groupsClaim } = this.#settings;
    const lacks = [nameClaim, groupsClaim].some((claim) => claimOf(claims, claim) === undefined);
    if (!lacks || configuration.serverMetadata().userinfo_endpoint === undefined) return claims;
    return { ...(await oidc.fetchUserInfo(configuration, accessToken, claims.sub)), ...claims };
  }

  #groupsIn(claims: Readonly<Record<string, unknown>>): readonly string[] {
    const groups = claimOf(claims, this.#settings.groupsClaim);
    return Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [];
  }

  #sealedRefresh(token: string | undefined): string | undefined {
    return token === undefined ? undefined : this.sealed.close(token, SESSION_MS);
  }

  /** Where a person ends the provider's own session; undefined where it has no such place or does not answer. */
  async signOutAt(returnTo: string): Promise<URL | undefined> {
    try {
      const configuration = await this.#discovered();
      if (configuration.serverMetadata().end_session_endpoint === undefined) return undefined;
      return oidc.buildEndSessionUrl(configuration, { post_logout_redirect_uri: returnTo });
    } catch {
      // Our own session has ended whatever the provider says.
      return undefined;
    }
  }

  /** Whose sessions a notice of the provider ends. Throws SIGN_IN_REFUSED, PROVIDER_UNREACHABLE. */
  async readLogout(
    notice: string,
  ): Promise<{ issuer: string; subject?: string | undefined; sid?: string | undefined }> {
    const metadata = (await this.#discovered()).serverMetadata();
    return asked(async () => {
      if (metadata.jwks_uri === undefined) throw new Error('it publishes no keys');
      this.#keys ??= createRemoteJWKSet(new URL(metadata.jwks_uri), { timeoutDuration: ANSWER_S * 1_000 });
      const { payload } = await jwtVerify(notice, this.#keys, {
        issuer: metadata.issuer,
        audience: this.#settings.clientId,
        algorithms: ALGORITHMS,
        clockTolerance: TOLERANCE_S,
        maxTokenAge: NOTICE_S,
        requiredClaims: ['iat', 'jti', 'events'],
      });
      const { sub, sid } = LogoutNotice.parse(payload);
      return { issuer: metadata.issuer, subject: sub, sid };
    });
  }

  #discovered(): Promise<oidc.Configuration> {
    const { issuer, clientId, clientSecret, clientAuth } = this.#settings;
    const insecure = issuer.startsWith('http:');
    this.#configuration ??= oidc
      .discovery(
        new URL(issuer),
        clientId,
        { client_secret: clientSecret, [oidc.clockTolerance]: TOLERANCE_S },
        clientAuth === 'basic' ? oidc.ClientSecretBasic(clientSecret) : oidc.ClientSecretPost(clientSecret),
        {
          timeout: ANSWER_S,
          // The identity file allows plain HTTP to this machine alone.
          // eslint-disable-next-line @typescript-eslint/no-deprecated -- it is marked so that nobody uses it lightly
          ...(insecure && { execute: [oidc.allowInsecureRequests] }),
        },
      )
      .catch((error: unknown) => {
        this.#configuration = undefined;
        throw unreachable(error);
      });
    return this.#configuration;
  }
}

const LogoutNotice = z
  .looseObject({
    sub: z.string().optional(),
    sid: z.string().optional(),
    events: z.looseObject({ 'http://schemas.openid.net/event/backchannel-logout': z.looseObject({}) }),
    nonce: z.never('is what an ID token has').optional(),
  })
  .refine(({ sub, sid }) => sub !== undefined || sid !== undefined, 'names neither a person nor a session');

/** A claim by its name or, where there is none of that name, by its path: `realm_access.roles`. */
function claimOf(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  return name.split('.').reduce<unknown>((value, part) => {
    const isObject = typeof value === 'object' && value !== null && Object.hasOwn(value, part);
    return isObject ? (value as Readonly<Record<string, unknown>>)[part] : undefined;
  }, claims);
}

/** What was thrown may hold tokens of the provider, and so is no cause of what we throw. */
async function asked<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    if (isNetwork(error)) throw unreachable(error);
    throw refused(`the identity provider did not vouch for anybody: ${whyOf(error)}`, {
      hint: 'sign in again; where that does not help, compare the identity file with the client at the provider',
    });
  }
}

function unreachable(error: unknown): PortcullisError {
  return new PortcullisError(
    'PROVIDER_UNREACHABLE',
    `the identity provider does not answer: ${whyOf(error)}`,
    {
      hint: 'check the issuer in the identity file; until then portcullis open prints a link for whoever has a token',
    },
  );
}

const LONGEST_WHY = 300;

function whyOf(error: unknown): string {
  if (error instanceof z.ZodError) {
    return error.issues.map(({ path, message }) => `${path.join('.') || 'it'} ${message}`).join('; ');
  }
  const { code, error: said, error_description: more } = error as Readonly<Record<string, unknown>>;
  const claim = claimAtFault(error);
  const parts = [
    typeof said === 'string' ? said : messageOf(error),
    more,
    claim === undefined ? undefined : `the claim ${claim}`,
    said === undefined ? code : undefined,
  ];
  const why = parts.filter((part) => typeof part === 'string').join(', ');
  return shorten(why.replaceAll(/[\u0000-\u001f\u007f]+/g, ' '), LONGEST_WHY);
}

/** Which claim of a token was not as it must be: the name alone, for the cause holds all of them. */
function claimAtFault(error: unknown): string | undefined {
  const { claim, cause } = error as { readonly claim?: unknown; readonly cause?: unknown };
  if (typeof claim === 'string') return claim;
  return typeof cause === 'object' && cause !== null ? claimAtFault(cause) : undefined;
}

function isNetwork(error: unknown): boolean {
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown };
  return (
    code === 'OAUTH_TIMEOUT' || code === 'ERR_JWKS_TIMEOUT' || (name === 'TypeError' && code === undefined)
  );
}

/** Errors of a provider that is out of order, or of our own client there: they say nothing of the person. */
const NOT_OF_PERSON = new Set(['server_error', 'temporarily_unavailable', 'slow_down', 'invalid_client']);

function isNoAnswer(error: unknown): boolean {
  const { status, error: said, cause } = error as Readonly<Record<'status' | 'error' | 'cause', unknown>>;
  // What is no answer of OAuth comes as the response itself.
  const answered = status ?? (cause as { readonly status?: unknown } | undefined)?.status;
  if (isNetwork(error) || (typeof answered === 'number' && (answered >= 500 || answered === 429)))
    return true;
  return typeof said === 'string' && NOT_OF_PERSON.has(said);
}

/** Keeps in a browser what only we can read and make, until a time. */
export class Seal {
  readonly #key: Buffer;

  constructor(secret: string) {
    this.#key = createHash('sha256').update(`portcullis seal:${secret}`).digest();
  }

  close(value: unknown, forMs: number): string {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce);
    const text = JSON.stringify({ value, until: Date.now() + forMs });
    return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
      'base64url',
    );
  }

  /** Undefined where it is not ours, was changed, or is too old. */
  open<Value>(schema: z.ZodType<Value>, sealed: string | undefined): Value | undefined {
    const bytes = Buffer.from(sealed ?? '', 'base64url');
    if (bytes.length < 29) return undefined;
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, 12));
      decipher.setAuthTag(bytes.subarray(-16));
      const text = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString(
        'utf8',
      );
      const kept = z.strictObject({ value: schema, until: z.number() }).parse(JSON.parse(text));
      return kept.until > Date.now() ? kept.value : undefined;
    } catch {
      return undefined;
    }
  }

  openTransaction(sealed: string | undefined): Transaction | undefined {
    return this.open(Transaction, sealed);
  }
}
