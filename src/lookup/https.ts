/**
 * What one HTTPS fetch said. Redirects are not followed; bodies are capped; private addresses are refused.
 * Only 404 and 410 say that the page is absent; a 401, 403 or 429 may come from a firewall or a rate limit,
 * and so says nothing about the page.
 */
export type HttpsAnswer =
  | { readonly kind: 'body'; readonly status: 200; readonly text: string }
  | { readonly kind: 'absent'; readonly status: 404 | 410 }
  | { readonly kind: 'indeterminate'; readonly code: HttpsFailure };

/**
 * Why nothing is known.
 * - `TIMEOUT`: the whole fetch, from the name lookup to the last byte, took too long.
 * - `TLS`: the certificate is not trusted or not for this host, or there was no handshake.
 * - `UNREACHABLE`: no such host, no connection, or it broke off.
 * - `PRIVATE_ADDRESS`: the host is, or resolves to, an address that is not public.
 * - `REDIRECT`: any 3xx.  `SERVER_ERROR`: any 5xx.  `UNEXPECTED_STATUS`: any other but 200, 404, 410.
 * - `TOO_LARGE`: the headers or the body are over the cap.
 * - `MALFORMED`: not HTTP, or a body that is not plain UTF-8.
 * - `URL_INVALID`: not an https URL, or one with a user name or password.
 */
export type HttpsFailure =
  | 'TIMEOUT'
  | 'TLS'
  | 'UNREACHABLE'
  | 'PRIVATE_ADDRESS'
  | 'REDIRECT'
  | 'SERVER_ERROR'
  | 'UNEXPECTED_STATUS'
  | 'TOO_LARGE'
  | 'MALFORMED'
  | 'URL_INVALID';

/** Answers by class, for metrics: few and fixed. */
export type HttpsAnswerClass = 'body' | 'absent' | HttpsFailure;

/** HTTPS as a job sees it. Never throws for what a server does; rejects only with the signal's reason. */
export interface Https {
  getText(url: string, signal?: AbortSignal): Promise<HttpsAnswer>;
}
