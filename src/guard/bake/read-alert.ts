import { createHash } from 'node:crypto';
import { shorten, storable } from '../../kernel/text.js';

/** One alert of Alertmanager's webhook, as far as it could be understood. */
export interface Alert {
  readonly status: 'firing' | 'resolved';
  readonly fingerprint: string;
  /** RFC 3339. With the fingerprint, it names one firing of the alert. Absent: unreadable. */
  readonly startsAt?: string;
  /** When it was resolved or, of one that fires, until when it does unless it is sent again. */
  readonly endsAt?: string;
  /** As they were sent, to be compared. */
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** Far more than a rule has, and little enough to be kept for each alert. */
const MOST_LABELS = 100;
const NAME_LENGTH = 200;
const VALUE_LENGTH = 1_000;

/**
 * Reads one alert of a batch. Whatever of it can be understood is: only what is no object or has no labels, so that
 * nobody can tell what it means, is undefined. One that does not say that it is resolved fires.
 */
export function readAlert(raw: unknown): Alert | undefined {
  if (!isObject(raw) || !isObject(raw['labels'])) return undefined;
  const labels = textsOf(raw['labels']);
  const startsAt = momentOf(raw['startsAt']);
  const endsAt = momentOf(raw['endsAt']);
  const { fingerprint } = raw;
  const plain = typeof fingerprint === 'string' && fingerprint !== '' && fingerprint.length <= NAME_LENGTH;
  return {
    status: raw['status'] === 'resolved' ? 'resolved' : 'firing',
    fingerprint: plain ? storable(fingerprint) : fingerprintOf(labels),
    ...(startsAt !== undefined && { startsAt }),
    ...(endsAt !== undefined && { endsAt }),
    labels,
    annotations: isObject(raw['annotations']) ? textsOf(raw['annotations']) : {},
  };
}

/** Labels or annotations as they are kept: no more of them, and none longer, than anybody reads. */
export function kept(texts: Alert['labels']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(texts)
      .slice(0, MOST_LABELS)
      .map(([name, value]) => [shorten(name, NAME_LENGTH), shorten(value, VALUE_LENGTH)]),
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textsOf(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  );
}

const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;

/** Go's zero time, year 1, says that there is none. */
function momentOf(value: unknown): string | undefined {
  if (typeof value !== 'string' || !RFC_3339.test(value)) return undefined;
  return Date.parse(value) > 0 ? value : undefined;
}

/** For an alert that brings none: the same for the same labels. */
function fingerprintOf(labels: Alert['labels']): string {
  const sorted = Object.entries(labels).sort(([one], [other]) => (one < other ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16);
}
