import { createHmac } from 'node:crypto';

/** The headers of a notification; docs/reference/configuration.md tells receivers how to check them. */
const ID_HEADER = 'portcullis-id';
const TIMESTAMP_HEADER = 'portcullis-timestamp';
const SIGNATURE_HEADER = 'portcullis-signature';

/**
 * The headers that prove where a body comes from: HMAC-SHA256 over `timestamp.body`, in hexadecimal, behind
 * `v1=`. The timestamp (seconds since 1970, when it was sent) is signed too, so that a receiver who refuses old
 * ones can't be shown a message of yesterday. The id is the same at every attempt.
 */
export function signedHeaders(
  secret: string,
  id: string,
  body: string,
  sentAtSeconds: number,
): Readonly<Record<string, string>> {
  const timestamp = String(sentAtSeconds);
  const mac = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
  return { [ID_HEADER]: id, [TIMESTAMP_HEADER]: timestamp, [SIGNATURE_HEADER]: `v1=${mac}` };
}
