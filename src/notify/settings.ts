/** What configuration knows of notifications: read by every command, and so by a kill, which loads no more than it needs. */

export const RECEIVER_KINDS = ['webhook', 'slack', 'pagerduty'] as const;

/** What signs must not be guessed. */
export const MIN_SECRET = 16;
export const WEBHOOK_SECRET = /^(?!whsec_)|^whsec_[A-Za-z0-9+/]{16,}={0,2}$/;

/** Variables that a receivers file may name; all of them are secrets. */
export const RECEIVER_VARIABLE = /^PORTCULLIS_RECEIVER_[A-Z0-9_]{1,60}$/;

/** What the environment says of notifications. */
export interface NotifySettings {
  /** The receivers file. */
  readonly file: string | undefined;
  /** `PORTCULLIS_NOTIFY_URLS`: webhooks that get everything, signed with `secret`. */
  readonly urls: readonly string[];
  readonly secret: string;
  /** The variables that the file may name, with their values. */
  readonly secrets: Readonly<Record<string, string>>;
}
