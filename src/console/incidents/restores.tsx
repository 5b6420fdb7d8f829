import { countOf } from '../../kernel/words.js';
import { Moment } from '../parts/moment.js';
import { ProgressBar } from '../parts/progress-bar.js';
import { RunLink, RunStatus } from '../parts/run-status.js';
import type { Incident } from './incident-state.js';

/** Its runs, and how far each is put back. */
export function Restores({ incident: { runs, impact } }: { readonly incident: Incident }) {
  if (runs.length === 0) return null;
  return (
    <section aria-labelledby="its-runs">
      <h2 id="its-runs">Its runs</h2>
      {impact.rows > 0 && (
        <ProgressBar have={impact.restored} of={impact.rows} label="Restored">
          {impact.restored.toLocaleString('en')} of {countOf(impact.rows, 'row')} put back
          {impact.restoreConflicts > 0 &&
            `; ${countOf(impact.restoreConflicts, 'conflict')}: changed since, each for a person to decide`}
        </ProgressBar>
      )}
      <ul class="lines">
        {runs.map(({ id, region, version, status, createdAt, restore, restores, firstAppliedAt }) => (
          <li key={id} data-run={id}>
            <p>
              <RunLink id={id} /> {region} <code class="quiet">{version}</code>
              <br />
              <span class="quiet">
                <Moment at={createdAt} />
              </span>{' '}
              <RunStatus status={status} />
            </p>
            <p class="line-side">
              {restore === null ? (
                <span class="quiet">
                  {firstAppliedAt === null
                    ? 'changed nothing'
                    : restores.length === 0
                      ? 'not restored'
                      : `${countOf(
                          restores.reduce((sum, { restored }) => sum + restored, 0),
                          'row',
                        )} restored, of a part`}
                </span>
              ) : (
                <span>
                  restore <RunLink id={restore.id} /> <RunStatus status={restore.status} />
                  <br />
                  <span class="quiet">
                    {countOf(restore.restored, 'row')}
                    {restore.conflicts > 0 && `, ${countOf(restore.conflicts, 'conflict')}`}
                  </span>
                </span>
              )}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
