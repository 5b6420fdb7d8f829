import { unitsOf } from '../../kernel/words.js';
import { call, whyNot, type Output } from '../api.js';
import { dialog } from '../dialogs.js';
import { useWatched } from '../live/use-watched.js';
import { percent } from '../now/gate-cell.js';
import { Copy, Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { isOver, RunLink, RunStatus, shortRun, totalOf, type Run } from '../parts/run-status.js';
import { DashboardLink, Read, ViewHead } from '../parts/view-head.js';
import { Link, pathOf } from '../router.js';
import { span } from '../time.js';
import { ChangeTable } from './change-table.js';
import type { Verdict } from './figures.js';
import { Lanes } from './lanes.js';
import { Plan } from './plan.js';
import { RestorePart, whyNotRestore } from './restore-part.js';
import { Verdicts } from './verdicts.js';

/** A run under way gets on batch by batch, which is not told. */
const EVERY_MS = 2_000;

interface Shown {
  readonly run: Output<'getRun'>;
  readonly verdicts: readonly Verdict[];
  readonly lanes: Output<'listRunLanes'>['lanes'];
  readonly restores: readonly Run[];
}

export function RunDetail({ id }: { readonly id: string }) {
  const watched = useWatched<Shown>(`run ${id}`, {
    read: async (_, before) => (before !== undefined && isSettled(before) ? again(before) : readRun(id)),
    affects: ({ kind }) => kind === 'run',
    everyMs: EVERY_MS,
  });
  const run = watched.data.value?.run;
  return (
    <>
      <ViewHead title={`Run ${shortRun(run?.runId ?? id)}`} readMs={watched.readMs.value}>
        {run !== undefined && <Copy text={run.runId} what="the run’s id" />}
        <Link to="/runs">All runs</Link>
        {run !== undefined && (
          <DashboardLink
            uid="portcullis-runs"
            job={run.job}
            regions={[run.region]}
            from={run.createdAt}
            to={run.finishedAt}
          />
        )}
      </ViewHead>
      <Read watched={watched} what="the run">
        {(shown) => <Facts shown={shown} />}
      </Read>
    </>
  );
}

/** A run that is over changes no more, but for its restores. */
const isSettled = ({ run }: Shown): boolean => isOver(run) && run.finishedAt !== null;

async function again(before: Shown): Promise<Shown> {
  const run = await call('getRun', { id: before.run.runId });
  // A held plan may be made up for, and a baseline may take it.
  if (run.status !== before.run.status || run.plannedAt !== before.run.plannedAt) return readRun(run.runId);
  return { ...before, run, restores: await restoresOf(run) };
}

async function readRun(id: string): Promise<Shown> {
  const run = await call('getRun', { id });
  const [{ verdicts }, { lanes }, restores] = await Promise.all([
    call('listRunVerdicts', { id: run.runId }),
    call('listRunLanes', { id: run.runId }),
    restoresOf(run),
  ]);
  return { run, verdicts, lanes, restores };
}

async function restoresOf({ runId, trigger }: Run): Promise<readonly Run[]> {
  return trigger === 'restore' ? [] : (await call('listRuns', { restores: runId, limit: 20 })).items;
}

function Facts({ shown: { run, verdicts, lanes, restores } }: { readonly shown: Shown }) {
  const planned = totalOf(run.planned);
  const wrote = totalOf(run.applied) > 0;
  return (
    <div class="run">
      <p class="panel-state">
        <RunStatus status={run.status} />
        <strong>{run.job}</strong>
        <Link to={pathOf('now', run.job, run.region)}>{run.region}</Link>
        <code>{run.version}</code>
        {run.dryRun && <span class="tag">dry run</span>}
      </p>
      <p class="why lead">{run.reason}</p>
      <Acts run={run} />
      {run.breakGlass !== null && (
        <p class="warn">
          It ran under break-glass <code>{run.breakGlass}</code>: no rollout had admitted its version.
        </p>
      )}
      <div class="halves">
        <div>
          {planned > 0 && <Plan run={run} verdicts={verdicts} />}
          {verdicts.length > 0 && <Verdicts verdicts={verdicts} />}
        </div>
        <div>
          <dl class="facts facts-wide">
            <dt>Began</dt>
            <dd>
              <Moment at={run.createdAt} ago />, {TRIGGERS[run.trigger]}
              {run.trigger === 'schedule' || run.trigger === 'catch-up' ? (
                <>
                  {' '}
                  for <Moment at={run.slot} />
                </>
              ) : null}
              {run.restores !== null && (
                <>
                  {' '}
                  <RunLink id={run.restores} copy />
                </>
              )}
            </dd>
            {run.finishedAt !== null && (
              <>
                <dt>Ended</dt>
                <dd>
                  <Moment at={run.finishedAt} />
                  {run.durationMs !== null && `, after ${span(run.durationMs)}`}
                </dd>
              </>
            )}
            <dt>Admitted</dt>
            <dd>{admittedText(run)}</dd>
            <dt>Worker</dt>
            <dd>
              <code>{run.worker}</code>
              {run.attempt > 1 && `, the ${run.attempt}. to have it`}
            </dd>
          </dl>
          {lanes.length > 0 && <Lanes run={run} lanes={lanes} />}
          {wrote && run.trigger !== 'restore' && <RestorePart run={run} restores={restores} />}
        </div>
      </div>
      {planned > 0 ? (
        <ChangeTable key={run.status} run={run} lanes={lanes.length > 0 ? lanes : undefined} />
      ) : (
        isOver(run) && <p class="empty">It planned no change.</p>
      )}
      <Copyable
        text={`portcullis run show ${shortRun(run.runId)} --changes`}
        what="the command that shows it"
      />
    </div>
  );
}

function Acts({ run }: { readonly run: Run }) {
  const offRestore = whyNotRestore(run);
  const offKill = whyNot('kill', run.region);
  return (
    <>
      <p class="buttons">
        <button
          type="button"
          class="primary"
          disabled={offRestore !== undefined}
          onClick={() => (dialog.value = { kind: 'restore', run })}
        >
          Restore…
        </button>
        <button
          type="button"
          class="danger"
          disabled={offKill !== undefined}
          onClick={() => (dialog.value = { kind: 'kill', job: run.job, region: run.region })}
        >
          Kill its gate…
        </button>
      </p>
      {offRestore !== undefined && <p class="hint">Restore: {offRestore}</p>}
      {offKill !== undefined && <p class="hint">Kill: {offKill}</p>}
    </>
  );
}

const TRIGGERS = {
  schedule: 'on its schedule',
  'catch-up': 'to make up for a missed time',
  manual: 'by hand',
  restore: 'to restore',
} as const;

function admittedText({ admittedUnits, askedPermille, admittedPermille, unitLabel }: Shown['run']): string {
  if (admittedUnits === null) return 'it was not planned';
  const units = unitsOf(admittedUnits, unitLabel);
  if (askedPermille === null || admittedPermille === null) return units;
  return admittedPermille < askedPermille
    ? `${units}: the version is admitted to ${percent(admittedPermille)}, the flag asks for ${percent(askedPermille)}`
    : `${units}, ${percent(askedPermille)}`;
}
