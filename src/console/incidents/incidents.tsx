import { call, whyNot, type Input } from '../api.js';
import { dialog } from '../dialogs.js';
import { useWatched } from '../live/use-watched.js';
import { Moment } from '../parts/moment.js';
import { Read, ViewHead } from '../parts/view-head.js';
import { Link, match, pathOf, place } from '../router.js';
import { IncidentDetail } from './incident-detail.js';
import { IncidentState } from './incident-state.js';

const PAGE = 50;
const EVERY_MS = 15_000;

/** Every incident, or the one that the address names. */
export function Incidents() {
  const id = match('/incidents/:id', place.value.path)?.['id'];
  return id === undefined ? <List /> : <IncidentDetail key={id} id={id} />;
}

function List() {
  const { query } = place.value;
  const all = query.has('closed');
  const cursor = query.get('cursor') ?? undefined;
  const wanted: Input<'listIncidents'> = { limit: PAGE, ...(!all && { unclosed: 'true' as const }), cursor };
  const watched = useWatched(JSON.stringify(wanted), {
    read: () => call('listIncidents', wanted),
    affects: ({ kind }) => kind === 'incident',
    everyMs: EVERY_MS,
  });
  const off = whyNot('manage-incident');
  return (
    <>
      <ViewHead title="Incidents" readMs={watched.readMs.value} />
      <p class="buttons">
        <button
          type="button"
          disabled={off !== undefined}
          onClick={() => (dialog.value = { kind: 'open-incident' })}
        >
          Open an incident…
        </button>
        <Link to={all ? '/incidents' : '/incidents?closed=1'}>
          {all ? 'Only open ones' : 'Closed ones too'}
        </Link>
      </p>
      {off !== undefined && <p class="hint">Open an incident: {off}</p>}
      <Read watched={watched} what="incidents">
        {({ items, next }) => (
          <>
            {items.length === 0 && <NoIncidents all={all} />}
            <ul class="requests">
              {items.map((incident) => {
                const { id, job, regions, title, openedAt, severity, drill } = incident;
                return (
                  <li key={id} class={`request incident-${incident.state}`} data-incident={id}>
                    <header class="request-head">
                      <div>
                        <p class="quiet">
                          <code>{id}</code> · {job} in {regions.map(({ region }) => region).join(', ')}
                        </p>
                        <h2>
                          <Link to={pathOf('incidents', id)}>{title}</Link>
                        </h2>
                      </div>
                      <p>
                        <IncidentState state={incident.state} />
                        {severity !== null && <span class="tag">{severity}</span>}
                        {drill && <span class="tag">drill</span>}
                      </p>
                    </header>
                    <p class="quiet">
                      opened by {incident.openedBy} at <Moment at={openedAt} ago />
                    </p>
                  </li>
                );
              })}
            </ul>
            {next !== null && (
              <p class="buttons pages">
                <Link to={`/incidents?${all ? 'closed=1&' : ''}cursor=${encodeURIComponent(next)}`}>
                  Older
                </Link>
              </p>
            )}
          </>
        )}
      </Read>
    </>
  );
}

function NoIncidents({ all }: { readonly all: boolean }) {
  return (
    <section class="empty">
      <h2>{all ? 'There was no incident' : 'No incident is open'}</h2>
      <p>
        A rule that fails, or a kill, opens one by itself. It gathers what happened, what it reached, and the
        commands that lead out of it. Where a person has noticed something first, they open it here; that
        stops nothing.
      </p>
    </section>
  );
}
