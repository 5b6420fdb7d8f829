import { listUpTo } from '../../client/client.js';
import { call, whyNot } from '../api.js';
import { dialog } from '../dialogs.js';
import { useWatched } from '../live/use-watched.js';
import { Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { Problem } from '../parts/problem.js';
import { Link, match, pathOf, place } from '../router.js';
import { RolloutDetail } from './rollout-detail.js';
import type { Rollout } from './steers.js';

/** Bakes fill as time passes, which is not told. */
const EVERY_MS = 5_000;

/** Every job's rollout, or the one that the address names. */
export function Rollouts() {
  const job = match('/rollouts/:job', place.value.path)?.['job'];
  return job === undefined ? <List /> : <One key={job} job={job} />;
}

function One({ job }: { readonly job: string }) {
  const { data, error, readMs } = useWatched(job, {
    read: () => call('getRollout', { job }),
    affects: (change) => change.job === job || change.job === null,
    everyMs: EVERY_MS,
  });
  return (
    <>
      <header class="view-head">
        <h1>{job}</h1>
        <Link to="/rollouts">All rollouts</Link>
        <Age readMs={readMs.value} />
      </header>
      {error.value !== undefined && <Problem error={error.value} />}
      {data.value !== undefined && <RolloutDetail rollout={data.value} />}
      {data.value?.next === null && <Start job={job} />}
    </>
  );
}

function List() {
  const { data, error, readMs } = useWatched('rollouts', {
    read: readRollouts,
    affects: ({ kind }) => kind === 'rollout' || kind === 'approval' || kind === 'run',
    everyMs: EVERY_MS,
  });
  const shown = data.value;
  return (
    <>
      <header class="view-head">
        <h1>Rollouts</h1>
        <Age readMs={readMs.value} />
      </header>
      <Start />
      {error.value !== undefined && <Problem error={error.value} />}
      {shown?.length === 0 && (
        <section class="empty">
          <h2>No version was rolled out yet</h2>
          <p>A rollout admits a new version wave by wave, on evidence. This begins one:</p>
          <Copyable
            text={`portcullis rollout start JOB --version VERSION --reason '…'`}
            what="the command that starts a rollout"
          />
        </section>
      )}
      <ul class="requests">
        {shown?.map(({ job, version, status, next, endReason }) => (
          <li key={job} class="request">
            <h2>
              <Link to={pathOf('rollouts', job)}>{job}</Link>
            </h2>
            <p>
              <code>{version}</code> {status}
            </p>
            <p class="why">{next?.reason ?? endReason}</p>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Starts the next one, of a job or of any. */
function Start({ job }: { readonly job?: string }) {
  const off = whyNot('start-rollout');
  return (
    <>
      <p class="buttons">
        <button
          type="button"
          disabled={off !== undefined}
          onClick={() => (dialog.value = { kind: 'start-rollout', ...(job !== undefined && { job }) })}
        >
          Start a rollout…
        </button>
      </p>
      {off !== undefined && <p class="hint">Start a rollout: {off}</p>}
    </>
  );
}

function Age({ readMs }: { readonly readMs: number }) {
  return (
    <p class="age">
      {readMs > 0 && (
        <>
          read at <Moment at={new Date(readMs).toISOString()} />
        </>
      )}
    </p>
  );
}

async function readRollouts(): Promise<readonly Rollout[]> {
  return (await listUpTo<Rollout>(Infinity, (page) => call('listRollouts', page))).items;
}
