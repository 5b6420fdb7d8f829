/* A real OpenID provider in a process of its own: oidc-provider, with its own pages to sign in on. Told over IPC. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { SignJWT, importJWK } from 'jose';

let skewMs = 0;
const realNow = Date.now;
Date.now = () => realNow() + skewMs;

const { Provider } = await import('oidc-provider');

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'test', alg: 'RS256', use: 'sig' };

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const [portcullis, secret] = process.argv.slice(2);

const groups = new Map();
/** Who has no account any more. */
const disabled = new Set();
/** Whether it is out of order: it answers 503. */
let isAway = false;
/** What is wrong with the next ID tokens: `audience`, or nothing. */
let fault;

const client = (client_id, at) => ({
  client_id,
  client_secret: secret,
  token_endpoint_auth_method: 'client_secret_post',
  redirect_uris: [`${at}/session/oidc/callback`],
  post_logout_redirect_uris: [`${at}/`],
  grant_types: ['authorization_code', 'refresh_token'],
  backchannel_logout_uri: `${at}/session/oidc/logout`,
  backchannel_logout_session_required: true,
});

const provider = new Provider(issuer, {
  clients: [client('portcullis', portcullis), client('another', 'http://127.0.0.1:1')],
  jwks: { keys: [jwk] },
  claims: { openid: ['sub', 'sid'], profile: ['preferred_username'], groups: ['groups'] },
  scopes: ['openid', 'profile', 'groups', 'email', 'offline_access'],
  findAccount: (_ctx, id) =>
    disabled.has(id)
      ? undefined
      : {
          accountId: id,
          claims: () => ({
            ...{ sub: id, preferred_username: id.replace('subject-', ''), groups: groups.get(id) ?? [] },
          }),
        },
  // As providers do whose clients have been allowed it; each is good once.
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  ttl: {
    IdToken: 60,
    AccessToken: 600,
    AuthorizationCode: 60,
    Session: 3600,
    Interaction: 3600,
    Grant: 3600,
    RefreshToken: 86_400,
  },
  // It sends notices of sign-outs to no address of its own machine, where we are.
  fetch: (url, { method, headers, body, signal }) => fetch(url, { method, headers, body, signal }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid profile groups email');
    await grant.save();
    return grant;
  },
});

provider.use(async (ctx, next) => {
  if (isAway) {
    ctx.status = 503;
    return;
  }
  await next();
  if (ctx.path !== '/token' || fault !== 'audience' || ctx.body?.id_token === undefined) return;
  const claims = JSON.parse(Buffer.from(ctx.body.id_token.split('.')[1], 'base64url').toString());
  ctx.body = { ...ctx.body, id_token: await signed({ ...claims, aud: 'another' }) };
});

/** Signed with the provider's own key. */
async function signed(claims, typ = 'JWT') {
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256', kid: 'test', typ })
    .sign(await importJWK(jwk, 'RS256'));
}

provider.on('server_error', (_ctx, error) => console.error(error));
provider.on('backchannel.error', (_ctx, error) => console.error(error));
server.on('request', provider.callback());

const orders = {
  groups: ({ subject, of }) => groups.set(subject, of),
  disable: ({ subject }) => disabled.add(subject),
  away: ({ is }) => (isAway = is),
  skew: ({ ms }) => (skewMs = ms),
  fault: ({ what }) => (fault = what),
  /** A token of any claims: as a workflow's, or a notice of a sign-out. */
  mint: ({ claims, typ }) => {
    const now = Math.floor(Date.now() / 1000);
    return signed({ iss: issuer, iat: now, exp: now + 300, jti: randomUUID(), ...claims }, typ);
  },
};

process.on('message', async ({ id, order, ...rest }) => {
  process.send({ id, answer: String((await orders[order](rest)) ?? '') });
});
process.on('disconnect', () => process.exit());
process.send({ issuer });
