import { call, type Output } from '../api.js';
import { useWatched } from '../live/use-watched.js';
import type { Watched } from '../live/watched.js';
import { Copy, Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { DashboardLink, Read, ViewHead } from '../parts/view-head.js';
import { Link } from '../router.js';
import { span } from '../time.js';
import { Containment } from './containment.js';
import { Handover } from './handover.js';
import { Impact } from './impact.js';
import { IncidentState, type Incident } from './incident-state.js';
import { Restores } from './restores.js';
import { Runbook } from './runbook.js';
import { Told } from './told.js';

const EVERY_MS = 5_000;
const KINDS = new Set(['incident', 'run', 'gate', 'trip', 'approval', 'quarantine', 'quarantine-lifted']);

interface Shown {
  readonly incident: Incident;
  readonly runbook: Output<'getIncidentRunbook'>;
  readonly moments: Output<'getIncidentTimeline'>['moments'];
  readonly updates: Output<'getIncidentStatusUpdates'>['updates'];
  readonly told: Output<'listNotifications'>['items'];
}

/** The page to be on during an incident. */
export function IncidentDetail({ id }: { readonly id: string }) {
  const watched: Watched<Shown> = useWatched<Shown>(`incident ${id}`, {
    read: () => readIncident(id),
    affects: ({ kind, job }) => KINDS.has(kind) && (job === null || watched.data.value?.incident.job === job),
    everyMs: EVERY_MS,
  });
  const incident = watched.data.value?.incident;
  return (
    <>
      <ViewHead title={`Incident ${id}`} readMs={watched.readMs.value}>
        <Copy text={id} what="the incident’s id" />
        <Link to="/incidents">All incidents</Link>
        {incident !== undefined && (
          <DashboardLink
            uid="portcullis-incident"
            job={incident.job}
            regions={incident.regions.map(({ region }) => region)}
            from={incident.openedAt}
            to={incident.closedAt}
          />
        )}
      </ViewHead>
      <Read watched={watched} what="the incident">
        {(shown) => <Facts shown={shown} />}
      </Read>
    </>
  );
}

async function readIncident(id: string): Promise<Shown> {
  const [incident, runbook, { moments }, { updates }, { items }] = await Promise.all([
    call('getIncident', { id }),
    call('getIncidentRunbook', { id }),
    call('getIncidentTimeline', { id }),
    call('getIncidentStatusUpdates', { id }),
    call('listNotifications', { incident: id, limit: 50 }),
  ]);
  return { incident, runbook, moments, updates, told: items };
}

function Facts({ shown: { incident, runbook, moments, updates, told } }: { readonly shown: Shown }) {
  const { title, job, version, severity, drill, openedBy, openedAt, silent, unchecked, breakGlass } =
    incident;
  return (
    <div class="run">
      <p class="panel-state">
        <IncidentState state={incident.state} />
        {severity !== null && <span class="tag">{severity}</span>}
        {drill && <span class="tag">drill</span>}
        <strong>{job}</strong>
        <code>{version ?? 'version not known'}</code>
      </p>
      <p class="lead">{title}</p>
      <p class="quiet">
        opened by {openedBy} at <Moment at={openedAt} ago />
        <Measures incident={incident} />
      </p>
      {incident.conclusion !== null && (
        <p class="why">
          Closed by {incident.closedBy}: {incident.conclusion}
          {incident.falseAlarm && ' (a false alarm)'}
        </p>
      )}
      {silent.map(({ region, reason }) => (
        <p key={region} class="warn">
          {region} could not be asked: {reason}. The figures are without it.
        </p>
      ))}
      {unchecked.map(({ region, permille, by, reason }) => (
        <p key={`${region} ${permille}`} class="verdict verdict-skipped">
          ↷ {region}: the bake at {permille / 10} % was skipped, not checked, by {by}: {reason}
        </p>
      ))}
      {breakGlass.map((each) => (
        <p key={`${each.id} ${each.region}`} class="warn">
          {each.version} ran in {each.region} under break-glass {each.id}, by {each.requestedBy} and{' '}
          {each.approvedBy}: {each.reason}
        </p>
      ))}
      <div class="halves">
        <div>
          <Containment incident={incident} />
          <Runbook incident={incident} {...runbook} />
          <Restores incident={incident} />
        </div>
        <div>
          <Impact incident={incident} />
          <Timeline moments={moments} />
          <Told told={told} />
          <Handover incident={incident} updates={updates} />
        </div>
      </div>
      <Copyable text={`portcullis incident show ${incident.id}`} what="the command that shows it" />
    </div>
  );
}

function Measures({ incident: { measures } }: { readonly incident: Incident }) {
  const parts = [
    ['noticed', measures.detectMs],
    ['stopped', measures.stopMs],
    ['restored', measures.restoreMs],
  ] as const;
  const known = parts.flatMap(([what, ms]) => (ms === null ? [] : [`${what} after ${span(ms)}`]));
  return known.length === 0 ? null : <>; {known.join(', ')}</>;
}

/** What happened, the newest first, so that what comes stands where one looks. */
function Timeline({ moments }: { readonly moments: Shown['moments'] }) {
  return (
    <section aria-labelledby="timeline">
      <h2 id="timeline">Timeline</h2>
      <ol class="timeline" reversed tabIndex={0} aria-labelledby="timeline">
        {[...moments].reverse().map(({ at, what, who, kind }, index) => (
          <li key={`${at} ${kind} ${moments.length - index}`} data-kind={kind}>
            <Moment at={at} /> {who !== null && <strong>{who}</strong>} {what}
          </li>
        ))}
      </ol>
    </section>
  );
}
