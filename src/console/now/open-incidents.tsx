import { call } from '../api.js';
import { IncidentState } from '../incidents/incident-state.js';
import { useWatched } from '../live/use-watched.js';
import { Problem } from '../parts/problem.js';
import { Link, pathOf } from '../router.js';
import { nowMs, span } from '../time.js';

/** So many above the gates, which must stay in sight; more of one gate. */
const [FEW, MOST] = [3, 20];
const EVERY_MS = 15_000;

interface OpenIncidentsProps {
  /** Only those of a job in a region; absent: every one. */
  readonly job?: string;
  readonly region?: string;
}

/** Incidents that nobody has closed yet, each a way to its runbook: where whoever is called out begins. */
export function OpenIncidents({ job, region }: OpenIncidentsProps) {
  const { data, error } = useWatched(`open incidents ${job ?? ''}`, {
    read: () =>
      call('listIncidents', {
        ...{ unclosed: 'true', limit: job === undefined ? FEW : MOST },
        ...(job !== undefined && { job }),
      }),
    affects: ({ kind }) => kind === 'incident',
    everyMs: EVERY_MS,
  });
  if (error.value !== undefined) return <Problem error={error.value} />;
  const shown = data.value?.items.filter(
    ({ regions }) => region === undefined || regions.some((each) => each.region === region),
  );
  if (shown === undefined || shown.length === 0) return null;
  return (
    <ul class="incidents-open" aria-label="Open incidents">
      {shown.map(({ id, title, state, severity, drill, openedAt }) => (
        <li key={id}>
          <IncidentState state={state} />
          <Link to={pathOf('incidents', id)}>{title}</Link>
          <span class="quiet">
            {[severity, drill ? 'drill' : null, `${span(nowMs.value - Date.parse(openedAt))} ago`]
              .filter((each) => each !== null)
              .join(', ')}
          </span>
        </li>
      ))}
      {data.value?.next != null && region === undefined && (
        <li>
          <Link to="/incidents">All of them</Link>
        </li>
      )}
    </ul>
  );
}
