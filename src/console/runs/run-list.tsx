import { countOf, number } from '../../kernel/words.js';
import { call, type Input } from '../api.js';
import { useWatched } from '../live/use-watched.js';
import { overview } from '../now/overview.js';
import { Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { RUN_KINDS, RunLink, RunStatus, totalOf, type Run, type RunState } from '../parts/run-status.js';
import { Read, ViewHead } from '../parts/view-head.js';
import { Link, navigate, place } from '../router.js';
import { span } from '../time.js';

const PAGE = 50;
/** Runs that are under way get on without being told. */
const EVERY_MS = 5_000;
/** As many are counted, see the operation. */
const MOST_HELD = 10_000;

const STATUSES = Object.keys(RUN_KINDS) as RunState[];

/** Runs, newest first, page by page. What is looked for stands in the address. */
export function RunList() {
  const { query } = place.value;
  const given = (name: string): string | undefined => query.get(name) ?? undefined;
  const status = STATUSES.find((each) => each === query.get('status'));
  const wanted: Input<'listRuns'> = {
    ...{ job: given('job'), region: given('region'), status, cursor: given('cursor'), limit: PAGE },
    hideHeld: query.has('held') ? 'false' : 'true',
  };
  const watched = useWatched(JSON.stringify(wanted), {
    read: () => call('listRuns', wanted),
    affects: ({ kind }) => kind === 'run',
    everyMs: EVERY_MS,
  });
  return (
    <>
      <ViewHead title="Runs" readMs={watched.readMs.value} />
      <Filters />
      <Read watched={watched} what="runs">
        {({ items, next, hidden, unreachable }) => (
          <>
            {unreachable.length > 0 && (
              <p class="warnings" role="alert">
                {unreachable.join(', ')} {unreachable.length === 1 ? 'does' : 'do'} not answer: runs there are
                missing here.
              </p>
            )}
            {hidden > 0 && (
              <p class="hint">
                {hidden >= MOST_HELD ? 'At least ' : ''}
                {countOf(hidden, 'held run')} not shown.{' '}
                <Link to={addressWith('held', '1')}>Show {hidden === 1 ? 'it' : 'them'}</Link>
              </p>
            )}
            {items.length === 0 ? <NoRuns /> : <Table runs={items} />}
            <p class="buttons pages">
              {query.has('cursor') && <Link to={addressWith('cursor', '')}>Newest runs</Link>}
              {next !== null && <Link to={addressWith('cursor', next)}>Older runs</Link>}
            </p>
          </>
        )}
      </Read>
    </>
  );
}

/** This address with another value. A page is one of a list: of another list it begins at the first. */
function addressWith(name: string, value: string): string {
  const next = new URLSearchParams(place.value.query);
  if (name !== 'cursor') next.delete('cursor');
  if (value === '') next.delete(name);
  else next.set(name, value);
  return `/runs${next.size === 0 ? '' : `?${next.toString()}`}`;
}

function Filters() {
  const { query } = place.value;
  const jobs = overview().data.value?.jobs ?? [];
  const job = query.get('job') ?? '';
  const regions = new Set(
    jobs
      .filter((each) => job === '' || each.job === job)
      .flatMap(({ gates }) => gates.map((gate) => gate.region)),
  );
  const change = (name: string) => (value: string) => navigate(addressWith(name, value), { replace: true });
  return (
    <div class="tools">
      <Choice
        name="Job"
        every="every job"
        value={job}
        among={jobs.map((each) => each.job)}
        onChange={change('job')}
      />
      <Choice
        name="Region"
        every="every region"
        value={query.get('region') ?? ''}
        among={[...regions].sort()}
        onChange={change('region')}
      />
      <Choice
        name="Status"
        every="any status"
        value={query.get('status') ?? ''}
        among={STATUSES}
        onChange={change('status')}
      />
      <label class="check">
        <input
          type="checkbox"
          checked={query.has('held')}
          onChange={(event) => change('held')(event.currentTarget.checked ? '1' : '')}
        />
        Held runs too
      </label>
    </div>
  );
}

interface ChoiceProps {
  readonly name: string;
  /** What is chosen where nothing is. */
  readonly every: string;
  readonly value: string;
  readonly among: readonly string[];
  readonly onChange: (value: string) => void;
}

export function Choice({ name, every, value, among, onChange }: ChoiceProps) {
  // One that was pasted in stays, also where it is not known here.
  const all = value === '' || among.includes(value) ? among : [value, ...among];
  return (
    <label class="tool">
      <span class="tool-name">{name}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">{every}</option>
        {all.map((each) => (
          <option key={each}>{each}</option>
        ))}
      </select>
    </label>
  );
}

function Table({ runs }: { readonly runs: readonly Run[] }) {
  return (
    <table class="list rows">
      <thead>
        <tr>
          <th scope="col">Run</th>
          <th scope="col">What and where</th>
          <th scope="col">Status</th>
          <th scope="col" class="number">
            Planned
          </th>
          <th scope="col" class="number">
            Applied
          </th>
          <th scope="col" class="number">
            Conflicts
          </th>
          <th scope="col" class="number">
            Took
          </th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <tr key={run.runId} data-run={run.runId}>
            <th scope="row" class="id">
              <RunLink id={run.runId} />
              <br />
              <span class="quiet">
                <Moment at={run.createdAt} />
              </span>
            </th>
            <td>
              <strong>{run.job}</strong> {run.region}
              <br />
              <code class="quiet">{run.version}</code>
              <Kind run={run} />
            </td>
            <td class="wide-cell">
              <RunStatus status={run.status} />
              <br />
              <span class="quiet">{run.reason}</span>
            </td>
            <Figure name="planned" n={totalOf(run.planned)} />
            <Figure name="applied" n={totalOf(run.applied)} />
            <Figure name="conflicts" n={run.conflicts} />
            <td class="number">{run.durationMs === null ? '–' : span(run.durationMs)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** On a phone the column has no heading, and the figure says what it counts. */
function Figure({ name, n }: { readonly name: string; readonly n: number }) {
  return (
    <td class="number">
      {number(n)}
      <span class="narrow"> {name}</span>
    </td>
  );
}

function Kind({ run: { dryRun, trigger, restores } }: { readonly run: Run }) {
  if (restores !== null) {
    return (
      <span class="quiet">
        {' '}
        restores <RunLink id={restores} />
      </span>
    );
  }
  return <span class="quiet"> {dryRun ? 'dry run' : trigger === 'schedule' ? '' : trigger}</span>;
}

function NoRuns() {
  const { size } = place.value.query;
  return (
    <section class="empty">
      {size > 0 ? (
        <>
          <h2>No run fits</h2>
          <p>
            <Link to="/runs">See every run</Link>
          </p>
        </>
      ) : (
        <>
          <h2>Nothing has run yet</h2>
          <p>
            A run plans a job’s changes in a region, is judged by the guard, and writes what was judged. It
            appears here when its schedule is due, or begins now:
          </p>
          <Copyable text="portcullis run JOB --region REGION --dry-run" what="the command that plans a run" />
        </>
      )}
    </section>
  );
}
