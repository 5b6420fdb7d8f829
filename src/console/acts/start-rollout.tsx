import { useSignal } from '@preact/signals';
import { useEffect, useId } from 'preact/hooks';
import { quoted, unitsOf } from '../../kernel/words.js';
import { call, problemOf, whyNot, type Output } from '../api.js';
import type { BeforeAfter } from '../inbox/asked.js';
import { BeforeAfterTable } from '../parts/dialog.js';
import { percent } from '../now/gate-cell.js';
import { Copyable } from '../parts/copy.js';
import { Problem } from '../parts/problem.js';
import { Reason } from '../parts/reason.js';
import { pathOf, Link } from '../router.js';
import { ActDialog, DoneDialog, Outcome, useAct, useJob } from './act.js';
import { JobField } from './scope.js';

type Version = Output<'listVersions'>['items'][number];
type Simulation = Output<'simulateRollout'>;

const MOST = 200;

/** Starts a rollout: it shows the waves on paper, with the units of each, before anything is admitted. */
export function StartRolloutDialog({ job: given }: { readonly job?: string | undefined }) {
  const field = useId();
  const chosen = useJob(given);
  const job = chosen.value;
  const version = useSignal('');
  const reason = useSignal('');
  const versions = useSignal<readonly Version[] | undefined>(undefined);
  const simulation = useSignal<Simulation | undefined>(undefined);
  const unread = useSignal<unknown>(undefined);
  const onPaper = useSignal('');
  useEffect(() => {
    const own = <T,>(take: (read: T) => void) => {
      return (read: T): void => {
        if (chosen.peek() === job) take(read);
      };
    };
    versions.value = undefined;
    simulation.value = undefined;
    unread.value = undefined;
    onPaper.value = '';
    version.value = '';
    if (job === '') return;
    call('listVersions', { job, limit: MOST }).then(
      own(({ items }) => {
        versions.value = startable(items);
        version.value = versions.value[0]?.version ?? '';
      }),
      own((error: unknown) => (unread.value = error)),
    );
    call('simulateRollout', { job }).then(
      own((read) => (simulation.value = read)),
      own((error: unknown) => (onPaper.value = problemOf(error).text)),
    );
  }, [job]);
  const act = useAct(
    (input: { readonly job: string; readonly version: string; readonly reason: string }, options) =>
      call('startRollout', input, options),
  );
  const standing = act.standing.value;
  if (standing.at === 'done') {
    const { next } = standing.result;
    return (
      <DoneDialog title="Rollout started">
        <Outcome
          title={`${job} ${standing.result.version}`}
          lines={[`The rollout is ${standing.result.status}`, next?.reason ?? '']}
        />
        <p>
          <Link to={pathOf('rollouts', job)}>Follow it</Link>
        </p>
      </DoneDialog>
    );
  }
  const why = reason.value.trim();
  const known = versions.value;
  return (
    <ActDialog
      title="Start a rollout"
      act={act}
      input={version.value === '' || why === '' ? undefined : { job, version: version.value, reason: why }}
      refused={
        whyNot('start-rollout') ??
        (known?.length === 0
          ? 'No worker offers a version that is not admitted everywhere already.'
          : undefined)
      }
      button={{ name: 'Start the rollout', doing: 'Starting…', kind: 'primary' }}
    >
      <div class="fields">
        <JobField job={chosen} />
        <div class="field">
          <label for={field}>Version</label>
          <select
            id={field}
            value={version.value}
            onChange={(event) => (version.value = event.currentTarget.value)}
          >
            {known?.map((each) => (
              <option key={each.version}>{each.version}</option>
            ))}
          </select>
        </div>
      </div>
      {unread.value !== undefined && <Problem error={unread.value} />}
      {simulation.value !== undefined && <BeforeAfterTable changes={changesOf(simulation.value)} />}
      {onPaper.value !== '' && <p class="hint">Its steps cannot be shown on paper: {onPaper.value}.</p>}
      <p class="hint">
        It begins with its first wave at once; each step after that waits for evidence, and for people where
        the policy says so. A rule that fails rolls it back.
      </p>
      <Reason value={reason} hint="For whoever approves its waves, and for the record." autofocus />
      <Copyable
        text={`portcullis rollout start ${job} --version ${version.value === '' ? 'VERSION' : version.value} --reason ${quoted(why === '' ? '…' : why)}`}
        what="the command that does the same"
      />
    </ActDialog>
  );
}

/** Versions that a worker can run now, those first that are admitted in the fewest places. */
function startable(versions: readonly Version[]): Version[] {
  const fully = ({ admitted }: Version): number =>
    admitted.filter(({ permille }) => permille === 1000).length;
  return versions
    .filter((each) => each.live.length > 0 && fully(each) < each.live.length)
    .sort((one, other) => fully(one) - fully(other) || other.firstSeenAt.localeCompare(one.firstSeenAt));
}

/** Each region's steps, on paper. */
function changesOf({ unitLabel, steps, approvals }: Simulation): BeforeAfter[] {
  const places = new Map<string, string[]>();
  for (const { wave, region, permille, units } of steps) {
    const place = `${wave}: ${region}`;
    const then = places.get(place) ?? (approvals.includes(wave) ? ['once approved'] : []);
    then.push(`${percent(permille)} (${unitsOf(units, unitLabel)})`);
    places.set(place, then);
  }
  return [...places].map(([place, then]) => ({ place, now: '0 %', then: then.join(', ') }));
}
