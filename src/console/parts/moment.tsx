import { clock, localTime, nowMs, span } from '../time.js';

/** A moment in UTC, with the local time on hover; `ago`: and how long ago that is. */
export function Moment({ at, ago = false }: { readonly at: string; readonly ago?: boolean }) {
  const ms = Date.parse(at);
  return (
    <time dateTime={at} title={localTime(ms)}>
      {clock(ms)} UTC
      {ago && <span class="quiet">, {span(nowMs.value - ms)} ago</span>}
    </time>
  );
}

/** How long until then; `due` once it has come. */
export function Until({ at }: { readonly at: string }) {
  const left = Date.parse(at) - nowMs.value;
  return (
    <time dateTime={at} title={localTime(Date.parse(at))}>
      {left <= 0 ? 'due' : `in ${span(left)}`}
    </time>
  );
}

/** What is left of so many milliseconds that were left when they were read. */
export function Left({ ms, readMs }: { readonly ms: number; readonly readMs: number }) {
  const left = ms - (nowMs.value - readMs);
  return <span class={left < 5_000 ? 'warn' : undefined}>{span(Math.max(0, left))}</span>;
}
