import { createHmac, createPublicKey, type JsonWebKey } from 'node:crypto';

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/**
 * Tokens with the claims of a genuine one, as somebody makes them who has the issuer's public key and no other: unsigned,
 * with the public key as the secret of an HMAC in each of its forms, and with a key that the token brings along.
 */
export async function forgedTokens(issuer: string, genuine: string): Promise<Map<string, string>> {
  const response = await fetch(`${issuer}/jwks`);
  const { keys } = (await response.json()) as { keys: [JsonWebKey & { kid: string }] };
  const [jwk] = keys;
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const claims = JSON.parse(Buffer.from(genuine.split('.')[1] ?? '', 'base64url').toString()) as object;
  const body = part({ ...claims, jti: 'forged' });
  const hmac = (secret: string | Buffer): string => {
    const signed = `${part({ alg: 'HS256', kid: jwk.kid, typ: 'JWT' })}.${body}`;
    return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
  };
  return new Map([
    ['none', `${part({ alg: 'none', kid: jwk.kid })}.${body}.`],
    ['None', `${part({ alg: 'None', kid: jwk.kid })}.${body}.`],
    ['no algorithm', `${part({ kid: jwk.kid })}.${body}.`],
    ['HS256 by the PEM', hmac(key.export({ type: 'spki', format: 'pem' }))],
    ['HS256 by the DER', hmac(key.export({ type: 'spki', format: 'der' }))],
    ['HS256 by the JWK', hmac(JSON.stringify(jwk))],
    ['HS256 by the modulus', hmac(Buffer.from(jwk.n ?? '', 'base64url'))],
    ['an empty secret', hmac('')],
    ['its own key', `${part({ alg: 'RS256', jwk, jku: 'http://127.0.0.1:1/jwks' })}.${body}.AAAA`],
  ]);
}
