import { whyNot } from '../api.js';
import { dialog } from '../dialogs.js';
import { overview, placesOf } from '../now/overview.js';
import { Moment } from '../parts/moment.js';
import { StateTag } from '../parts/state.js';
import { Link, pathOf } from '../router.js';
import type { Incident } from './incident-state.js';

/** Where nothing of it can commit any more, and where something still can; the gates as they are now. */
export function Containment({ incident: { job, regions } }: { readonly incident: Incident }) {
  const places = placesOf(overview().data.value?.jobs);
  const open = regions.filter(({ containedAt }) => containedAt === null);
  return (
    <section aria-labelledby="containment">
      <h2 id="containment">
        {open.length === 0
          ? 'Nothing of it can commit any more'
          : `Still open in ${open.map(({ region }) => region).join(', ')}`}
      </h2>
      <ul class="lines">
        {[...open, ...regions.filter((each) => !open.includes(each))].map(
          ({ region, containedAt, damaged }) => {
            const gate = places.find((each) => each.job.job === job && each.gate.region === region)?.gate;
            const off = whyNot('kill', region);
            return (
              <li key={region} data-region={region}>
                <p>
                  <span class={containedAt === null ? 'verdict verdict-fail' : 'verdict verdict-pass'}>
                    {containedAt === null ? '✕' : '■'} <Link to={pathOf('now', job, region)}>{region}</Link>
                  </span>{' '}
                  {containedAt === null ? (
                    'not stopped'
                  ) : (
                    <>
                      contained since <Moment at={containedAt} />
                    </>
                  )}
                  <span class="quiet">{damaged ? '' : '; nobody has named damage here'}</span>
                </p>
                {gate !== undefined && (
                  <p class="line-side">
                    <StateTag state={gate.state} />
                    {gate.state !== 'killed' && (
                      <button
                        type="button"
                        class="danger"
                        disabled={off !== undefined}
                        title={off}
                        onClick={() => (dialog.value = { kind: 'kill', job, region })}
                      >
                        Kill…
                      </button>
                    )}
                  </p>
                )}
              </li>
            );
          },
        )}
      </ul>
    </section>
  );
}
