import { signal } from '@preact/signals';

/** The time, told once a second: what shows an age or a countdown reads it. */
export const nowMs = signal(Date.now());
setInterval(() => (nowMs.value = Date.now()), 1_000);

/** `12:04:31` in UTC, with the day where that is another than today. */
export function clock(ms: number): string {
  const [day = '', time = ''] = new Date(ms).toISOString().split('T');
  const today = new Date().toISOString().slice(0, 10);
  return `${day === today ? '' : `${day} `}${time.slice(0, 8)}`;
}

/** The same moment where the reader is, to be shown on hover. */
export function localTime(ms: number): string {
  return `${new Date(ms).toLocaleString()} here (${Intl.DateTimeFormat().resolvedOptions().timeZone})`;
}

/** `42 s`, `3 min`, `5 h`, `2 d`. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1_000));
  if (s < 100) return `${s} s`;
  if (s < 100 * 60) return `${Math.round(s / 60)} min`;
  return s < 48 * 3_600 ? `${Math.round(s / 3_600)} h` : `${Math.round(s / 86_400)} d`;
}
