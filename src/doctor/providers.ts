import { z } from 'zod';
import type { SignInSettings } from '../access/identity-file.js';
import { formatDurationMs } from '../kernel/duration.js';
import { messageOf } from '../kernel/errors.js';
import { countOf } from '../kernel/words.js';
import { callSlack } from '../notify/slack.js';
import type { Receiver } from '../notify/receivers.js';
import type { Check, Found, Patient } from './patient.js';

const ANSWER_MS = 5_000;
const ANSWER_BYTES = 1024 * 1024;
/** A sign-in is refused where the provider's clock differs by more, and its time is told in whole seconds. */
const SKEW_REFUSED_MS = 30_000;
const SKEW_NOTED_MS = 10_000;

const texts = z.array(z.string()).optional();
const Metadata = z.looseObject({
  issuer: z.string(),
  jwks_uri: z.url(),
  authorization_endpoint: z.url().optional(),
  token_endpoint: z.url().optional(),
  scopes_supported: texts,
  claims_supported: texts,
  token_endpoint_auth_methods_supported: texts,
});
type Metadata = z.output<typeof Metadata>;
const Keys = z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })) });

/** Whether people can sign in by the identity provider, and workflows exchange their tokens. */
export const identityProviders: Check<Patient> = {
  name: 'sign-in',
  examine: async ({ identity, publicUrl }) => {
    const { signIn, workflows } = identity?.() ?? { signIn: undefined, workflows: [] };
    const issuers = [...new Set(workflows.map(({ issuer }) => issuer))];
    const found = await Promise.all([
      signIn === undefined ? [] : signInFindings(signIn, publicUrl),
      ...issuers.map(workflowFindings),
    ]);
    return found.flat();
  },
};

async function signInFindings(settings: SignInSettings, publicUrl: string | undefined): Promise<Found[]> {
  const { issuer } = settings;
  const place = placeFinding(publicUrl);
  try {
    const { metadata, skewMs } = await discover(issuer);
    const keys = await keysOf(metadata);
    const faults = [...metadataFindings(settings, metadata), ...skewFindings(issuer, skewMs)];
    const answers: Found = { mark: 'ok', found: `${issuer} answers, with ${countOf(keys, 'key')}` };
    return [answers, ...faults, place];
  } catch (error) {
    return [unanswered(issuer, error, 'nobody can sign in by it'), place];
  }
}

async function workflowFindings(issuer: string): Promise<Found[]> {
  try {
    const { metadata, skewMs } = await discover(issuer);
    const keys = await keysOf(metadata);
    return [
      { check: 'workflows', mark: 'ok', found: `${issuer} answers, with ${countOf(keys, 'key')}` },
      ...skewFindings(issuer, skewMs).map((each) => ({ ...each, check: 'workflows' })),
    ];
  } catch (error) {
    return [{ ...unanswered(issuer, error, 'no workflow of it gets a token'), check: 'workflows' }];
  }
}

function unanswered(issuer: string, error: unknown, so: string): Found {
  return {
    mark: 'fail',
    found: `${issuer}: ${messageOf(error)}; ${so}`,
    hint: 'compare issuer in the identity file with the provider’s /.well-known/openid-configuration, and check that this machine reaches it',
  };
}

/** Pure. What the provider says of itself, compared with the identity file. */
export function metadataFindings(
  { scope, clientAuth, groupsClaim }: Pick<SignInSettings, 'scope' | 'clientAuth' | 'groupsClaim'>,
  metadata: Pick<
    Metadata,
    | 'scopes_supported'
    | 'claims_supported'
    | 'token_endpoint_auth_methods_supported'
    | 'authorization_endpoint'
    | 'token_endpoint'
  >,
): Found[] {
  const { scopes_supported: scopes, claims_supported: claims } = metadata;
  const methods = metadata.token_endpoint_auth_methods_supported;
  const found: Found[] = [];
  if (metadata.authorization_endpoint === undefined || metadata.token_endpoint === undefined) {
    found.push({
      mark: 'fail',
      found: 'the issuer has no address to sign in at: it vouches for workflows alone',
      hint: 'give signIn the issuer of the identity provider',
    });
  }
  const asked = scope.split(' ').filter(Boolean);
  const unknown = asked.filter((each) => scopes !== undefined && !scopes.includes(each));
  if (unknown.length > 0) {
    found.push({
      mark: 'warn',
      found: `the provider does not say that it knows the scope ${unknown.join(' ')}: some refuse the sign-in then`,
      hint: 'set scope in the identity file to what the client may ask for',
    });
  }
  const [top = groupsClaim] = groupsClaim.split('.');
  if (claims !== undefined && !claims.includes(groupsClaim) && !claims.includes(top)) {
    found.push({
      mark: 'warn',
      found: `the provider does not list the claim ${groupsClaim}: without it nobody is in a group, and every sign-in is refused`,
      hint: 'have the provider send the claim to this client, or set groupsClaim in the identity file',
    });
  }
  const method = `client_secret_${clientAuth}`;
  if (methods !== undefined && !methods.includes(method)) {
    found.push({
      mark: 'fail',
      found: `the provider takes the client’s secret by ${methods.join(', ')}, and not by ${method}`,
      hint: 'set clientAuth in the identity file: post or basic',
    });
  }
  if (!asked.includes('offline_access') && scopes?.includes('offline_access') === true) {
    found.push({
      mark: 'warn',
      found:
        'scope has no offline_access: groups may be read at sign-in alone, and a role that is taken lasts up to 24 h',
      hint: 'add offline_access to scope, where the client may ask for it: docs/guide/sign-in.md',
    });
  }
  return found;
}

/** Pure. */
export function skewFindings(issuer: string, skewMs: number | undefined): Found[] {
  if (skewMs === undefined || Math.abs(skewMs) < SKEW_NOTED_MS) return [];
  const far = `${formatDurationMs(Math.abs(skewMs))} ${skewMs > 0 ? 'behind' : 'ahead of'}`;
  return [
    {
      mark: Math.abs(skewMs) > SKEW_REFUSED_MS ? 'fail' : 'warn',
      found: `this machine’s clock is ${far} that of ${issuer}; more than 30 s is refused`,
      hint: 'synchronise this machine’s clock by NTP',
    },
  ];
}

/** Pure. Under which address people come back, which the provider must know. */
export function placeFinding(publicUrl: string | undefined): Found {
  if (publicUrl === undefined) {
    return {
      mark: 'warn',
      found:
        'PORTCULLIS_PUBLIC_URL is not set: people sign in on this machine alone (http://localhost and the port)',
      hint: 'set it to the https address that people use, and register ADDRESS/session/oidc/callback at the provider',
    };
  }
  return {
    mark: 'ok',
    found: `people come back to ${publicUrl}/session/oidc/callback: the provider must have it as redirect URI`,
  };
}

async function discover(issuer: string): Promise<{ metadata: Metadata; skewMs: number | undefined }> {
  const base = issuer.endsWith('/') ? issuer.slice(0, -1) : issuer;
  const before = Date.now();
  const { body, date } = await getJson(`${base}/.well-known/openid-configuration`);
  const skewMs = date === undefined ? undefined : date - (before + Date.now()) / 2;
  const metadata = Metadata.safeParse(body);
  if (!metadata.success) throw new Error('what it answers is no configuration of OpenID Connect');
  if (metadata.data.issuer !== issuer)
    throw new Error(
      `it calls itself ${metadata.data.issuer}: the two must be equal, to the slash at the end`,
    );
  return { metadata: metadata.data, skewMs };
}

async function keysOf({ jwks_uri: at }: Metadata): Promise<number> {
  const { body } = await getJson(at);
  const keys = Keys.safeParse(body).data?.keys.length ?? 0;
  if (keys === 0) throw new Error(`${at} has no keys to verify its tokens by`);
  return keys;
}

/** Follows no redirect, waits five seconds, and reads a megabyte at most. */
async function getJson(url: string): Promise<{ body: unknown; date: number | undefined }> {
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(ANSWER_MS) }).catch(
    (error: unknown) => {
      throw new Error(`no answer from ${url}: ${messageOf((error as { cause?: unknown }).cause ?? error)}`);
    },
  );
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`${url} answers ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES) throw new Error(`${url} answers more than ${ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  const said = Date.parse(response.headers.get('date') ?? '');
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    return { body, date: Number.isNaN(said) ? undefined : said };
  } catch {
    throw new Error(`${url} answers no JSON`);
  }
}

/** Whether the receivers of this configuration could send: no message is. */
export const configuredReceivers: Check<Patient> = {
  name: 'receivers',
  examine: async ({ receivers, publicUrl }) => {
    const all = receivers?.() ?? [];
    const found = await Promise.all(all.map((each) => receiverFindings(each, publicUrl)));
    return found.flat();
  },
};

async function receiverFindings(receiver: Receiver, publicUrl: string | undefined): Promise<Found[]> {
  const { name, kind } = receiver;
  if (kind === 'webhook') return [];
  if (kind === 'pagerduty') {
    return [
      {
        mark: 'ok',
        found: `${name} (pagerduty) has a key; only an event shows whether PagerDuty takes it: portcullis notifications test ${name}`,
      },
    ];
  }
  const signal = AbortSignal.timeout(ANSWER_MS);
  const taken = await callSlack(receiver, 'auth.test', {}, { timeoutMs: ANSWER_MS, signal });
  const buttons: Found[] =
    publicUrl === undefined
      ? [
          {
            mark: 'warn',
            found: `${name} (slack): PORTCULLIS_PUBLIC_URL is not set, so messages have no links`,
            hint: 'set it to the https address that people use; Slack sends what is pressed to ADDRESS/slack/interactions',
          },
        ]
      : [];
  if (!taken.taken) {
    return [
      {
        mark: 'fail',
        found: `${name} (slack): ${taken.problem}`,
        hint: 'compare the token in the receivers file’s variable with the app’s bot token: docs/guide/notifications.md',
      },
      ...buttons,
    ];
  }
  if (taken.team !== undefined && taken.team !== receiver.team) {
    return [
      {
        mark: 'fail',
        found: `${name} (slack): the token is of the workspace ${taken.team}, and team says ${receiver.team}: no button counts`,
        hint: `set team in the receivers file to ${taken.team}`,
      },
      ...buttons,
    ];
  }
  return [{ mark: 'ok', found: `${name} (slack): Slack takes the token` }, ...buttons];
}
