import { useEffect, useRef } from 'preact/hooks';
import { whyNot } from '../api.js';
import { dialog } from '../dialogs.js';
import { Copyable } from '../parts/copy.js';
import { Left, Moment, Until } from '../parts/moment.js';
import { RunLink } from '../parts/run-status.js';
import { DashboardLink } from '../parts/view-head.js';
import { RunBars } from '../parts/bars.js';
import { expectedText } from '../parts/run-bars.js';
import { StateTag, type Gate } from '../parts/state.js';
import { number } from '../../kernel/words.js';
import { Link, pathOf } from '../router.js';
import { percent } from './gate-cell.js';
import { OpenIncidents } from './open-incidents.js';
import type { Overview } from './overview.js';

interface PanelProps {
  readonly job: string;
  readonly region: string;
  readonly shown: Overview;
  readonly readMs: number;
  readonly onClose: () => void;
}

/** All that is known of one gate, and what can be done about it. */
export function GatePanel({ job: name, region, shown, readMs, onClose }: PanelProps) {
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    panel.current?.focus();
    return () => {
      const back = [...document.querySelectorAll<HTMLElement>('[data-gate]')].find(
        ({ dataset }) => dataset['gate'] === `${name} ${region}`,
      );
      back?.focus();
    };
  }, [name, region]);
  const job = shown.jobs.find((each) => each.job === name);
  const gate = job?.gates.find((each) => each.region === region);
  return (
    <aside
      ref={panel}
      class="panel"
      tabIndex={-1}
      aria-labelledby="panel-title"
      onKeyDown={(event) => {
        if (event.key === 'Escape') onClose();
      }}
    >
      <header class="panel-head">
        <div>
          <p class="quiet">{name}</p>
          <h2 id="panel-title">{region}</h2>
        </div>
        <button type="button" class="quiet-button" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </header>
      {job === undefined || gate === undefined ? (
        <p class="empty">There is no such gate. It may have been renamed; the list has those there are.</p>
      ) : (
        <>
          <p class="panel-state">
            <StateTag state={gate.state} />
            {gate.since !== null && (
              <span class="quiet">
                since <Moment at={gate.since} ago />
              </span>
            )}
            <DashboardLink uid="portcullis-kill-switch" job={name} regions={[region]} />
          </p>
          {gate.why !== '' && <p class="why">{gate.why}</p>}
          {gate.stopped && <p class="why">Restores are stopped too.</p>}
          {gate.killPending !== null && (
            <p class="problem">A kill has not reached this gate yet: {gate.killPending}</p>
          )}
          <OpenIncidents job={name} region={region} />
          <Acts job={name} region={region} isKilled={gate.state === 'killed'} />
          <dl class="facts">
            <dt>Permit</dt>
            <dd>
              {gate.state === 'killed' ? (
                'none counts while the gate is killed'
              ) : gate.permitRemainingMs === null || gate.permitRemainingMs === 0 ? (
                'none: nothing may write'
              ) : (
                <>
                  <Left ms={gate.permitRemainingMs} readMs={readMs} /> left; workers renew it while the flag
                  is on
                </>
              )}
            </dd>
            <dt>Flag</dt>
            <dd>
              <Link to={pathOf('flags', name, region)}>
                {name}.{region}
              </Link>
            </dd>
            <dt>Next run</dt>
            <dd>
              {job.nextSlot === null ? (
                'not scheduled'
              ) : (
                <>
                  <Moment at={job.nextSlot} />, <Until at={job.nextSlot} />
                </>
              )}
            </dd>
            {gate.rollout !== null && (
              <>
                <dt>Rollout</dt>
                <dd>
                  <Link to={pathOf('rollouts', name)}>
                    <code>{gate.rollout.version}</code>
                  </Link>{' '}
                  {gate.rollout.step === 0
                    ? 'has not begun here'
                    : `at ${percent(gate.rollout.permille)}, step ${gate.rollout.step} of ${gate.rollout.steps}`}
                </dd>
              </>
            )}
          </dl>
          <h3>Versions</h3>
          {gate.versions.length === 0 ? (
            <p class="quiet">No version has a share: nothing runs here.</p>
          ) : (
            <table class="list">
              <thead>
                <tr>
                  <th scope="col">Version</th>
                  <th scope="col" class="number">
                    Share
                  </th>
                  <th scope="col">State</th>
                </tr>
              </thead>
              <tbody>
                {gate.versions.map(({ version, permille, state }) => (
                  <tr key={version}>
                    <th scope="row">
                      <code>{version}</code>
                    </th>
                    <td class="number">{percent(permille)}</td>
                    <td>{state.replaceAll('-', ' ')}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
          <LastRuns runs={gate.runs} />
          <h3>In a terminal</h3>
          <Copyable
            text={`portcullis runs --job ${name} --region ${region}`}
            what="the command that lists its runs"
          />
          <Copyable text={`portcullis rollout status ${name}`} what="the command that shows its rollout" />
        </>
      )}
    </aside>
  );
}

/** The bars of its cell, larger, with what they mean and the figures behind them. */
function LastRuns({ runs }: { readonly runs: Gate['runs'] }) {
  if (runs.length === 0) {
    return (
      <>
        <h3>Last runs</h3>
        <p class="quiet">None yet.</p>
      </>
    );
  }
  return (
    <>
      <h3>Last runs</h3>
      <div class="bars-large">
        <RunBars runs={runs} />
        <ul class="hint">
          {runs.some(({ expected }) => expected !== null) && (
            <>
              <li>
                Shaded: what the guard expected of each run when it judged it. 19 of 20 healthy runs are
                inside.
              </li>
              <li>A bar with a point is above its band; one that ends under it planned less.</li>
            </>
          )}
          {runs.some(({ expected }) => expected === null) && (
            <li>
              A hollow bar was not judged by counts: too few runs to compare with, no count rule, or no plan.
              Its height is its number of changes.
            </li>
          )}
          <li>▾ below a bar: the run went wrong. The newest is at the right.</li>
        </ul>
      </div>
      <table class="list">
        <thead>
          <tr>
            <th scope="col">At</th>
            <th scope="col">Status</th>
            <th scope="col">Expected</th>
            <th scope="col" class="number">
              Applied
            </th>
            <th scope="col">Run</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.runId}>
              <td>
                <Moment at={run.at} />
              </td>
              <td>{run.status}</td>
              <td>
                {expectedText(run)}
                {run.expected !== null && <span class="rule quiet">{run.expected.rule}</span>}
              </td>
              <td class="number">
                {number(run.applied)}
                {run.planned !== run.applied && <span class="quiet"> of {number(run.planned)}</span>}
              </td>
              <td class="id">
                <RunLink id={run.runId} copy />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

interface ActsProps {
  readonly job: string;
  readonly region: string;
  readonly isKilled: boolean;
}

function Acts({ job, region, isKilled }: ActsProps) {
  const off = whyNot(isKilled ? 'request-rearm' : 'kill', region);
  return (
    <>
      <p class="buttons">
        <button
          type="button"
          class={isKilled ? 'primary' : 'danger'}
          disabled={off !== undefined}
          onClick={() => (dialog.value = { kind: isKilled ? 'rearm' : 'kill', job, region })}
        >
          {isKilled ? 'Request re-arm…' : 'Kill this gate…'}
        </button>
      </p>
      {off !== undefined && <p class="hint">{off}</p>}
    </>
  );
}
