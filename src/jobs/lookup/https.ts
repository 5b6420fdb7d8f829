/** What one HTTPS fetch said. Redirects are not followed; bodies are capped; private addresses are refused. */
export type HttpsAnswer =
  | { readonly kind: 'body'; readonly status: 200; readonly text: string }
  | { readonly kind: 'absent'; readonly status: number }
  | { readonly kind: 'indeterminate'; readonly code: HttpsFailure };

export type HttpsFailure =
  | 'TIMEOUT'
  | 'TLS'
  | 'UNREACHABLE'
  | 'PRIVATE_ADDRESS'
  | 'REDIRECT'
  | 'TOO_LARGE'
  | 'SERVER_ERROR'
  | 'MALFORMED';

/** HTTPS as a job sees it. Never throws for what a server does. */
export interface Https {
  getText(url: string, signal?: AbortSignal): Promise<HttpsAnswer>;
}
