import { remembered } from './remembered.js';

const POSTGRES_TIME =
  /^(\d{4,6})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(\.\d{1,6})?(?:Z|([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?)$/;

/**
 * The milliseconds since 1970 of a timestamp as PostgreSQL writes it (or of an ISO string), microseconds
 * kept as a fraction. `infinity` is Infinity. Null and what cannot be read are NaN, so that every comparison
 * with a time that nobody knows is false: ask for what must hold, and the unknown refuses itself.
 */
export function instantMs(text: string | null): number {
  return text === null ? NaN : read(text);
}

const read = remembered((text) => {
  if (text === 'infinity') return Infinity;
  if (text === '-infinity') return -Infinity;
  const match = POSTGRES_TIME.exec(text);
  if (!match) return NaN;
  const [
    ,
    year,
    month,
    day,
    hour,
    minute,
    second,
    fraction,
    sign,
    offsetHours,
    offsetMinutes,
    offsetSeconds,
  ] = match;
  const wholeMs = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  );
  const offsetS =
    Number(offsetHours ?? 0) * 3_600 + Number(offsetMinutes ?? 0) * 60 + Number(offsetSeconds ?? 0);
  return wholeMs - (sign === '-' ? -1 : 1) * offsetS * 1_000 + Number(fraction ?? 0) * 1_000;
});
