import { RUN_KINDS } from './run-status.js';
import { BARS, HEIGHT, WIDTH, barsText, drawn, type Run, type RunKind } from './run-bars.js';

const kindOf = ({ status }: Run): RunKind => RUN_KINDS[status];

/** The last runs as bars against what the guard expected of each. */
export function RunBars({ runs }: { readonly runs: readonly Run[] }) {
  const { band, edges, bars } = drawn(runs, kindOf);
  return (
    <svg
      class="bars"
      viewBox={`-1 0 ${BARS * WIDTH} ${HEIGHT + 5}`}
      role="img"
      aria-label={barsText(runs, kindOf)}
    >
      {band !== '' && (
        <>
          <path class="bars-band" d={band} />
          <path class="bars-edges" d={edges} />
        </>
      )}
      {[...bars].map(([name, d]) => (
        <path key={name} class={name} d={d} />
      ))}
    </svg>
  );
}
