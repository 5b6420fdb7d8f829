import { RUN_KINDS } from './run-status.js';
import type { Gate } from './state.js';

type Run = Gate['runs'][number];

const BARS = 12;
const WIDTH = 7;
const HEIGHT = 20;

/** The last runs, the newest at the right: the height tells how many changes, a mark below it that the run went wrong. */
export function RunBars({ runs }: { readonly runs: readonly Run[] }) {
  const most = Math.max(1, ...runs.map(sizeOf));
  const shown = runs.slice(0, BARS).reverse();
  // A path for each kind: by an element for every run, a wall of gates has thousands to make whenever it changes.
  const paths = new Map<string, string>();
  shown.forEach((run, at) => {
    const x = (BARS - shown.length + at) * WIDTH;
    const size = sizeOf(run);
    // By its square root, so that a small run beside a large one is still seen.
    const height = size === 0 ? 2 : 3 + (HEIGHT - 3) * Math.sqrt(size / most);
    const kind = RUN_KINDS[run.status];
    const bar = `M${x} ${(HEIGHT - height).toFixed(1)}h${WIDTH - 2}V${HEIGHT}h${2 - WIDTH}z`;
    const mark = `M${x} ${HEIGHT + 1.5}h${WIDTH - 2}l-${(WIDTH - 2) / 2} 3.5z`;
    paths.set(kind, (paths.get(kind) ?? '') + bar + (kind === 'bad' ? mark : ''));
  });
  return (
    <svg class="bars" viewBox={`0 0 ${BARS * WIDTH} ${HEIGHT + 5}`} role="img" aria-label={barsText(runs)}>
      {[...paths].map(([kind, d]) => (
        <path key={kind} class={`bar bar-${kind}`} d={d} />
      ))}
    </svg>
  );
}

const sizeOf = ({ planned, applied }: Run): number => Math.max(planned, applied);

function barsText(runs: readonly Run[]): string {
  const [last] = runs;
  if (last === undefined) return 'No runs yet';
  const bad = runs.filter(({ status }) => RUN_KINDS[status] === 'bad').length;
  const changes = `${last.applied.toLocaleString('en')} changes applied`;
  const wrong = bad === 0 ? '' : `; ${bad} of the last ${runs.length} went wrong`;
  return `Last run ${last.status}, ${changes}${wrong}`;
}
