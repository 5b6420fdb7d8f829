import { Link, pathOf } from '../router.js';
import { RunBars } from '../parts/bars.js';
import { Left, Until } from '../parts/moment.js';
import { StateTag, type Gate } from '../parts/state.js';
import type { Place } from './overview.js';
import type { Grouping } from './rows.js';

interface CellProps {
  readonly place: Place;
  readonly by: Grouping;
  readonly readMs: number;
  readonly tabIndex: number;
  readonly onFocus: () => void;
}

/** A gate, to be read from across the room: where, in which state, and why; then what it runs. */
export function GateCell({ place: { job, gate }, by, readMs, tabIndex, onFocus }: CellProps) {
  const name = by === 'region' ? job.job : by === 'job' ? gate.region : `${job.job} · ${gate.region}`;
  return (
    <div role="gridcell" class={`gate gate-${gate.state}`}>
      <Link
        to={pathOf('now', job.job, gate.region)}
        class="gate-link"
        tabIndex={tabIndex}
        onFocus={onFocus}
        data-gate={`${job.job} ${gate.region}`}
      >
        <span class="gate-head">
          <span class="gate-name">{name}</span>
          <StateTag state={gate.state} />
        </span>
        {gate.why === '' ? <Versions gate={gate} /> : <span class="gate-why">{gate.why}</span>}
        <span class="gate-foot">
          <LastRuns gate={gate} />
          <span class="gate-times">
            {gate.permitRemainingMs !== null && gate.permitRemainingMs > 0 && gate.state !== 'killed' && (
              <span>
                permit <Left ms={gate.permitRemainingMs} readMs={readMs} />
              </span>
            )}
            {job.nextSlot !== null && (
              <span>
                next <Until at={job.nextSlot} />
              </span>
            )}
          </span>
        </span>
      </Link>
    </div>
  );
}

/** Where no run has a band it is told, so that hollow bars are taken neither for good nor for bad. */
function LastRuns({ gate: { runs } }: { readonly gate: Gate }) {
  if (runs.length === 0 || runs.some(({ expected }) => expected !== null)) return <RunBars runs={runs} />;
  return (
    <span class="bars-unjudged">
      <RunBars runs={runs} />
      <span class="quiet">not judged by counts</span>
    </span>
  );
}

/** Who has which share. */
function Versions({ gate }: { readonly gate: Gate }) {
  if (gate.versions.length === 0) return <span class="gate-versions quiet">no version has a share</span>;
  return (
    <span class="gate-versions">
      {gate.versions.slice(0, 2).map(({ version, permille, state }) => (
        <span key={version} class="share">
          <span class="share-text">
            <code>{shortVersion(version)}</code> {percent(permille)}
            {state !== 'open' && <span class="warn"> {state}</span>}
          </span>
          <svg class="share-bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
            <rect class="share-all" width="100" height="4" />
            <rect class="share-own" width={permille / 10} height="4" />
          </svg>
        </span>
      ))}
    </span>
  );
}

/** The number without the digest, which stands in the details. */
export const shortVersion = (version: string): string => version.replace(/_.*$/, '');

export function percent(permille: number): string {
  return `${(permille / 10).toLocaleString('en', { maximumFractionDigits: 1 })} %`;
}
