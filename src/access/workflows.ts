import { createHash, randomBytes } from 'node:crypto';
import { createRemoteJWKSet, decodeJwt, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose';
import type pg from 'pg';
import { z } from 'zod';
import { recordAudit } from '../audit/record.js';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { shorten } from '../kernel/text.js';
import { inTransaction } from '../postgres/pool.js';
import { linkedTo } from './identities.js';
import type { WorkflowTrust } from './identity-file.js';
import { putToken } from './tokens.js';

/** What a workflow may do: put policies in force, start rollouts, look, and kill. It never approves. */
const ROLE = 'deployer';

const TOLERANCE_S = 30;
const ANSWER_MS = 10_000;
/** A workflow asks for its token when it needs it: one that is older was found somewhere. */
const OLDEST_S = 600;
/** Signatures by a key of which we have the public half alone: neither `none` nor one that whoever has that could make. */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
];

export interface Exchanged {
  readonly name: string;
  /** Shown this once. */
  readonly token: string;
  readonly role: typeof ROLE;
  /** Whose workflow it is. */
  readonly person: string;
  /** ISO 8601 in UTC. */
  readonly expiresAt: string;
}

const Metadata = z.looseObject({ issuer: z.string(), jwks_uri: z.url() });

/** The workflows that the identity file trusts; issuers' keys are read when they are first needed, and kept. */
export class Workflows {
  readonly #trusted: readonly WorkflowTrust[];
  readonly #keys = new Map<string, Promise<JWTVerifyGetKey>>();

  constructor(trusted: readonly WorkflowTrust[]) {
    this.#trusted = trusted;
  }

  /**
   * Gives a short token for a workflow's own, once. What it does counts as done by the person whose workflow it is. Throws
   * WORKFLOW_REFUSED, PROVIDER_UNREACHABLE.
   */
  async exchange(control: pg.Pool, token: string): Promise<Exchanged> {
    const { trust, claims } = await this.#verified(token);
    const actor = claims[trust.actor];
    if (typeof actor !== 'string' && typeof actor !== 'number')
      throw refused(`its token has no claim ${trust.actor}, which says whose workflow it is`);
    const identity = { issuer: trust.issuer, subject: String(actor) };
    const hash = createHash('sha256').update(signedPart(token)).digest();
    return inTransaction(control, async (client) => {
      // What a workflow did stays on record by its name; the tokens themselves are of no use any more.
      await client.query(
        `delete from portcullis_control.api_token where expires_at < clock_timestamp() - interval '1 day'`,
      );
      const person = await linkedTo(client, identity);
      if (person === undefined) {
        throw refused(
          `nobody is known as ${identity.subject} of ${identity.issuer}${actorText(claims)}`,
          `an admin says who that is: portcullis people link NAME --issuer ${identity.issuer} --subject ${identity.subject}`,
        );
      }
      if (person.removed) throw refused(`${person.name}, whose workflow it is, was removed`);
      const name = `ci-${trust.name}-${randomBytes(5).toString('hex')}`;
      const issued = await putToken(client, {
        ...{ name, role: ROLE, regions: null, person: null, hands: [person.id] },
        ...{ replaces: 'none', lasts: { minutes: trust.minutes, exchangedFor: hash } },
      });
      if (issued.expiresAt === undefined) throw refused('its token was used before, and is good once');
      await recordAudit(client, {
        principal: 'system:workflows',
        action: 'issue-token',
        subject: name,
        evidence: {
          ...{
            id: issued.id,
            role: ROLE,
            person: person.name,
            trust: trust.name,
            expiresAt: issued.expiresAt,
          },
          ...{ issuer: trust.issuer, workflow: whatOf(claims) },
        },
      });
      const { token: secret, expiresAt } = issued;
      return { name, token: secret, role: ROLE, person: person.name, expiresAt };
    });
  }

  async #verified(token: string): Promise<{ trust: WorkflowTrust; claims: JWTPayload }> {
    const issuer = issuerOf(token);
    const trusted = this.#trusted.filter((each) => each.issuer === issuer);
    const [first] = trusted;
    if (first === undefined) throw refused(`no workflows of ${shorten(issuer, 200)} are trusted`);
    const keys = await this.#keysOf(first.issuer);
    const { payload } = await jwtVerify(token, keys, {
      ...{ issuer: first.issuer, audience: trusted.map(({ audience }) => audience) },
      ...{ algorithms: ALGORITHMS, clockTolerance: TOLERANCE_S, maxTokenAge: OLDEST_S },
      requiredClaims: ['iat', 'exp', 'aud'],
    }).catch((error: unknown) => {
      if ((error as { code?: unknown }).code === 'ERR_JWKS_TIMEOUT') throw unreachable(first.issuer, error);
      throw refused(`its token is not valid: ${messageOf(error)}`);
    });
    const audiences = [payload.aud].flat();
    const candidates = trusted.filter(({ audience }) => audiences.includes(audience));
    const wrongs: string[] = [];
    for (const trust of candidates) {
      const wrong = Object.entries(trust.claims).find(
        ([claim, wanted]) => !wanted.includes(String(payload[claim])),
      );
      if (wrong === undefined) return { trust, claims: payload };
      wrongs.push(
        `${trust.name} wants ${wrong[0]} ${wrong[1].join(' or ')}, and it is ${String(payload[wrong[0]])}`,
      );
    }
    throw refused(`no trusted workflow is like it: ${shorten(wrongs.join('; '), 500)}`);
  }

  #keysOf(issuer: string): Promise<JWTVerifyGetKey> {
    const known = this.#keys.get(issuer) ?? discoverKeys(issuer);
    this.#keys.set(issuer, known);
    known.catch(() => this.#keys.delete(issuer));
    return known;
  }
}

/** A signature of the same may be written in more ways than one. */
function signedPart(token: string): string {
  const [head = '', body = ''] = token.split('.');
  return `${head}.${body}`;
}

async function discoverKeys(issuer: string): Promise<JWTVerifyGetKey> {
  try {
    const at = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const response = await fetch(at, { signal: AbortSignal.timeout(ANSWER_MS), redirect: 'error' });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    const metadata = Metadata.parse(await response.json());
    if (metadata.issuer !== issuer) throw new Error(`it calls itself ${metadata.issuer}`);
    return createRemoteJWKSet(new URL(metadata.jwks_uri), { timeoutDuration: ANSWER_MS });
  } catch (error) {
    throw unreachable(issuer, error);
  }
}

function unreachable(issuer: string, error: unknown): PortcullisError {
  return new PortcullisError(
    'PROVIDER_UNREACHABLE',
    `${issuer} does not answer: ${shorten(messageOf(error), 200)}`,
    {
      hint: 'check the issuer in the identity file, and the way there',
    },
  );
}

function issuerOf(token: string): string {
  try {
    return decodeJwt(token).iss ?? '';
  } catch {
    throw refused('that is no OpenID token');
  }
}

function refused(
  why: string,
  hint = 'compare `workflows` in the identity file with what the workflow is',
): PortcullisError {
  return new PortcullisError('WORKFLOW_REFUSED', `the workflow is not trusted: ${why}`, { hint });
}

/** A name beside the id, for whoever links it. */
function actorText(claims: JWTPayload): string {
  const name = claims['actor'] ?? claims['user_login'];
  return typeof name === 'string' ? ` (${shorten(name, 100)})` : '';
}

/** What a workflow's token says of it, as far as GitHub and GitLab call it so. */
const OF_WORKFLOWS = [
  'sub',
  'repository',
  'ref',
  'sha',
  'workflow_ref',
  'run_id',
  'run_attempt',
  'actor',
] as const;
const OF_PIPELINES = [
  'project_path',
  'ref_type',
  'pipeline_id',
  'job_id',
  'user_login',
  'environment',
] as const;

function whatOf(claims: JWTPayload): Record<string, string> {
  const said = [...OF_WORKFLOWS, ...OF_PIPELINES].flatMap((claim) => {
    const value = claims[claim];
    return typeof value === 'string' ? [[claim, shorten(value, 300)] as const] : [];
  });
  return Object.fromEntries(said);
}
