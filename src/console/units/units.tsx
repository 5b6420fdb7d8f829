import { useSignal } from '@preact/signals';
import { call, type Output } from '../api.js';
import { Explained, type Explanation } from '../flags/explain.js';
import { useWatched } from '../live/use-watched.js';
import { Choice } from '../runs/run-list.js';
import { columnsOf } from '../runs/changed-columns.js';
import { Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { RunLink, RunStatus, shortRun } from '../parts/run-status.js';
import { Read, ViewHead } from '../parts/view-head.js';
import { Link, navigate, pathOf, place } from '../router.js';
import { Problem } from '../parts/problem.js';
import { RestoreButton } from '../runs/restore-part.js';
import { countOf, number, quoted } from '../../kernel/words.js';

/** So many flags are asked about a unit. */
const MOST_FLAGS = 40;
const NEVER_MS = 24 * 3_600_000;

/** A unit or a row: what flags say for it and why, and its values at a time. What is asked stands in the address. */
export function Units() {
  const { query } = place.value;
  const asked = query.get('q') ?? '';
  const at = query.get('at') ?? '';
  return (
    <>
      <ViewHead title="Unit" readMs={0} />
      <Ask key={`${asked} ${at}`} asked={asked} at={at} />
      {asked === '' ? (
        <section class="empty">
          <p>
            Paste a <strong>unit</strong>, such as <code>org-17</code>, to see which version each flag gives
            to it, and why, and which runs changed it. Paste a <strong>row</strong>, as{' '}
            <code>resource:key</code>, such as <code>account:a-17</code>, to see its values at a time, and
            which run set them. Reading a row goes on record.
          </p>
        </section>
      ) : asked.includes(':') ? (
        <RowAsOf key={`${asked} ${at}`} subject={asked} at={at} />
      ) : (
        <div class="halves">
          <div>
            <FlagsOf key={`flags ${asked}`} unit={asked} />
          </div>
          <div>
            <RunsOf key={`runs ${asked}`} unit={asked} />
          </div>
        </div>
      )}
    </>
  );
}

function Ask({ asked, at }: { readonly asked: string; readonly at: string }) {
  const text = useSignal(asked);
  const moment = useSignal(at.replace(/Z$/, ''));
  return (
    <form
      class="tools"
      onSubmit={(event) => {
        event.preventDefault();
        const next = new URLSearchParams({ q: text.value.trim() });
        if (moment.value !== '') next.set('at', `${moment.value}Z`);
        navigate(`/units?${next.toString()}`);
      }}
    >
      <label class="tool">
        <span class="tool-name">Unit or row</span>
        <input
          type="search"
          id="find"
          spellcheck={false}
          placeholder="org-17, or account:a-17"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </label>
      <label class="tool">
        <span class="tool-name">A row’s values at (UTC)</span>
        <input
          type="datetime-local"
          step="1"
          value={moment.value}
          onInput={(event) => (moment.value = event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="primary" disabled={text.value.trim() === ''}>
        Ask
      </button>
    </form>
  );
}

interface Answers {
  readonly answers: readonly (Explanation & { readonly job: string; readonly region: string })[];
  readonly more: boolean;
}

/** What every flag gives to a unit. A unit lives in one region: of the others it is what it would be given. */
function FlagsOf({ unit }: { readonly unit: string }) {
  const job = useSignal('');
  const watched = useWatched<Answers>(`unit ${unit} ${job.value}`, {
    read: () => explain(unit, job.value),
    affects: ({ kind }) => kind === 'flag' || kind === 'admission' || kind === 'break-glass',
    everyMs: 30_000,
  });
  const jobs = [...new Set(watched.data.value?.answers.map((each) => each.job))];
  return (
    <section aria-labelledby="unit-flags">
      <h2 id="unit-flags">What flags say for it</h2>
      {(jobs.length > 1 || job.value !== '') && (
        <Choice
          name="Job"
          every="every job"
          value={job.value}
          among={jobs}
          onChange={(next) => (job.value = next)}
        />
      )}
      <Read watched={watched} what="flags">
        {({ answers, more }) => (
          <>
            {answers.length === 0 && <p class="empty">There is no flag to ask.</p>}
            <ul class="requests units">
              {answers.map((answer) => (
                <li key={answer.flag} class="request" data-flag={answer.flag}>
                  <h2>
                    <Link to={pathOf('flags', answer.job, answer.region)}>
                      {answer.job} {answer.region}
                    </Link>
                  </h2>
                  <Explained answer={answer} />
                </li>
              ))}
            </ul>
            {more && (
              <p class="hint">The first {MOST_FLAGS} flags. Choose a job, or open the flag that is meant.</p>
            )}
          </>
        )}
      </Read>
    </section>
  );
}

type UnitRun = Output<'listUnitRuns'>['items'][number];
const RUNS_A_PAGE = 20;

/** Which runs planned a change for a unit, with a restore of just it. */
function RunsOf({ unit }: { readonly unit: string }) {
  const older = useSignal<readonly UnitRun[]>([]);
  const next = useSignal<string | null | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const watched = useWatched<Output<'listUnitRuns'>>(`runs of unit ${unit}`, {
    read: () => call('listUnitRuns', { unit, limit: RUNS_A_PAGE }),
    affects: ({ kind }) => kind === 'run',
    everyMs: 30_000,
  });
  const readOlder = async (cursor: string): Promise<void> => {
    error.value = undefined;
    try {
      const page = await call('listUnitRuns', { unit, limit: RUNS_A_PAGE, cursor });
      older.value = [...older.value, ...page.items];
      next.value = page.next;
    } catch (thrown) {
      error.value = thrown;
    }
  };
  return (
    <section aria-labelledby="unit-runs">
      <h2 id="unit-runs">Runs that changed it</h2>
      <Read watched={watched} what="its runs">
        {(page) => {
          // A run that came in meanwhile moves the newest page on: each is shown once.
          const shown = new Map([...page.items, ...older.value].map((each) => [each.runId, each]));
          const behind = next.value === undefined ? page.next : next.value;
          return (
            <>
              {page.unreachable.map((database) => (
                <p key={database} class="warn">
                  {database} does not answer: its runs are missing here.
                </p>
              ))}
              {shown.size === 0 && (
                <p class="empty">No run has planned a change for it. A unit is named as its job names it.</p>
              )}
              <ul class="lines">
                {[...shown.values()].map((run) => (
                  <UnitRunLine key={run.runId} run={run} unit={unit} />
                ))}
              </ul>
              {behind !== null && (
                <p class="buttons">
                  <button type="button" onClick={() => void readOlder(behind)}>
                    Older runs
                  </button>
                </p>
              )}
            </>
          );
        }}
      </Read>
      {error.value !== undefined && <Problem error={error.value} />}
      <Copyable text={`portcullis unit ${quoted(unit)}`} what="the command that lists them" />
    </section>
  );
}

function UnitRunLine({ run, unit }: { readonly run: UnitRun; readonly unit: string }) {
  const { runId, job, region, status, createdAt, restores, dryRun, planned, applied, conflicts } = run;
  return (
    <li data-run={runId}>
      <p>
        <RunLink id={runId} copy /> <RunStatus status={status} />
        {dryRun && <span class="tag">dry run</span>}
        <br />
        {job} {region}{' '}
        <span class="quiet">
          <Moment at={createdAt} />
        </span>
      </p>
      <p class="line-side">
        {restores === null ? (
          `${number(applied)} of ${countOf(planned, 'change')} applied`
        ) : (
          <>
            {countOf(applied, 'row')} restored of <RunLink id={restores} />
          </>
        )}
        {conflicts > 0 && `, ${countOf(conflicts, 'conflict')}`}
        {restores === null && applied > 0 && (
          <>
            {' '}
            <RestoreButton run={runId} part={{ unit }} what={`${unit} as before run ${shortRun(runId)}`} />
          </>
        )}
      </p>
    </li>
  );
}

async function explain(unit: string, job: string): Promise<Answers> {
  const { items, next } = await call('listFlags', { limit: MOST_FLAGS, ...(job !== '' && { job }) });
  const answers = await Promise.all(
    items.map(async ({ job: of, region }) => ({
      ...(await call('explainFlag', { job: of, region, unit })),
      job: of,
      region,
    })),
  );
  return { answers, more: next !== null };
}

type AsOf = Output<'getAsOf'>;

/** Each reading of it goes on record: it is read once. */
function RowAsOf({ subject, at }: { readonly subject: string; readonly at: string }) {
  const watched = useWatched<AsOf>(`${subject} ${at}`, {
    read: async (_, before) => before ?? call('getAsOf', { subject, ...(at !== '' && { at }) }),
    affects: () => false,
    everyMs: NEVER_MS,
  });
  return (
    <Read watched={watched} what="the row">
      {(row) => (
        <div class="run">
          <section class="request" aria-label="The row">
            <h2>
              {row.subject} {at === '' ? 'now' : <>at {at}</>}
            </h2>
            <p>{sourceOf(row)}</p>
            {row.run !== null && (
              <p>
                Run <RunLink id={row.run} copy /> of {row.job} <code>{row.version}</code>, as {row.kind}
                {row.appliedAt !== null && (
                  <>
                    , at <Moment at={row.appliedAt} />
                  </>
                )}
              </p>
            )}
            {row.image === null ? (
              <p class="strong">The row was not there.</p>
            ) : (
              <table class="list values">
                <tbody>
                  {columnsOf(row.image).map(([column, value]) => (
                    <tr key={column}>
                      <th scope="row">{column}</th>
                      <td>{value}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
            <Copyable
              text={`portcullis asof ${quoted(subject)}${at === '' ? '' : ` --at ${at}`}`}
              what="the command that shows it"
            />
          </section>
          {row.from === 'change-before' && row.run !== null && (
            <section aria-labelledby="one-row">
              <h2 id="one-row">Put just this row back</h2>
              <p>
                To what it was before run <RunLink id={row.run} />, unless somebody has changed it since.
              </p>
              <p class="buttons">
                <RestoreButton run={row.run} part={{ key: subject.replace(/^[^:/]+\//, '') }}>
                  Restore this row…
                </RestoreButton>
              </p>
            </section>
          )}
        </div>
      )}
    </Read>
  );
}

function sourceOf({ from, image }: AsOf): string {
  switch (from) {
    case 'change-before':
      return 'A change by a run set these values; what others changed later is not in the journal.';
    case 'change-after':
      return 'A later run met the row with these values.';
    case 'row-now':
      return image === null
        ? 'No run has changed such a row, and there is none now.'
        : 'No run has changed it: these are its values now.';
  }
}
