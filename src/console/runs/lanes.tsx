import { countOf, number } from '../../kernel/words.js';
import type { Output } from '../api.js';
import { Moment } from '../parts/moment.js';
import { isOver, type Run } from '../parts/run-status.js';
import { ProgressBar } from '../parts/progress-bar.js';

type Lane = Output<'listRunLanes'>['lanes'][number];

/** How far a run has got, in all and lane by lane. */
export function Lanes({ run, lanes }: { readonly run: Run; readonly lanes: readonly Lane[] }) {
  const all = lanes.reduce((sum, { changes }) => sum + changes, 0);
  const passed = lanes.reduce((sum, each) => sum + each.passed, 0);
  return (
    <section aria-labelledby="progress">
      <h2 id="progress">Progress</h2>
      <ProgressBar have={passed} of={all} label="Changes">
        {number(passed)} of {number(all)} changes
        {run.conflicts > 0 &&
          `; ${countOf(run.conflicts, 'conflict')}: rows that were not as planned, skipped`}
        {isOver(run) && passed < all && `; ${number(all - passed)} were not reached`}
      </ProgressBar>
      {lanes.length > 1 && (
        <details>
          <summary>{countOf(lanes.length, 'lane')}</summary>
          <ul class="lanes">
            {lanes.map(({ lane, changes, passed: done, conflicts, batches, lastAppliedAt }) => (
              <li key={lane}>
                <ProgressBar have={done} of={changes} label={`Lane ${lane}`}>
                  Lane {lane}: {number(done)} of {number(changes)} in {countOf(batches, 'batch', 'batches')}
                  {conflicts > 0 && `, ${countOf(conflicts, 'conflict')}`}
                  {lastAppliedAt !== null && (
                    <span class="quiet">
                      , last at <Moment at={lastAppliedAt} />
                    </span>
                  )}
                </ProgressBar>
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
