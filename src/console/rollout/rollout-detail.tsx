import { whyNot } from '../api.js';
import { dialog } from '../dialogs.js';
import { percent } from '../now/gate-cell.js';
import { Copyable } from '../parts/copy.js';
import { Moment, Until } from '../parts/moment.js';
import { DashboardLink } from '../parts/view-head.js';
import { Link, pathOf } from '../router.js';
import { nowMs, span } from '../time.js';
import { STEERS, whyNotSteer, type Rollout, type Steer } from './steers.js';

type Wave = Rollout['waves'][number];
type Part = Wave['regions'][number];

/** A rollout: why it does not move yet, its waves as a track, what can be done, and what happened. */
export function RolloutDetail({ rollout }: { readonly rollout: Rollout }) {
  const { job, version, status, next, waves, events } = rollout;
  return (
    <div class="rollout">
      <p class="panel-state">
        <strong>
          {STATUS_SIGNS[status]} {status}
        </strong>
        <code>{version}</code>
        <span class="quiet">
          started by {rollout.startedBy} at <Moment at={rollout.startedAt} ago />: {rollout.reason}
        </span>
        <DashboardLink uid="portcullis-rollout" job={job} from={rollout.startedAt} to={rollout.endedAt} />
      </p>
      {next === null ? (
        <p class="why">
          Ended by {rollout.endedBy ?? ''}: {rollout.endReason}
        </p>
      ) : (
        <section aria-label="Why not yet">
          <p class="why-not-yet">{next.reason}</p>
          <Earliest at={next.earliest} />
        </section>
      )}
      {rollout.policyChanged && (
        <p class="warn">
          The policy’s waves have changed since: this rollout keeps those that it began with.
        </p>
      )}
      {rollout.incident !== null && <p class="warn">Incident {rollout.incident}</p>}
      <Steers rollout={rollout} />
      {rollout.skip !== null && rollout.skip.state === 'pending' && rollout.skip.lapsedReason === null && (
        <p class="warn">
          {rollout.skip.requestedBy} asks to skip a bake:{' '}
          <Link to={pathOf('inbox', rollout.skip.request)}>see the request</Link>
        </p>
      )}
      <ol class="track" aria-label="Waves">
        {waves.map((wave) => (
          <WaveSection key={wave.name} wave={wave} unitLabel={rollout.unitLabel} />
        ))}
      </ol>
      <h2>What happened</h2>
      <ul class="happened">
        {events.map(({ at, action, by, reason }) => (
          <li key={`${at} ${action} ${reason}`}>
            <Moment at={at} /> <strong>{action}</strong> by {by}: {reason}
          </li>
        ))}
      </ul>
      <Copyable text={`portcullis rollout status ${job}`} what="the command that shows it" />
    </div>
  );
}

function Steers({ rollout }: { readonly rollout: Rollout }) {
  const steers = Object.keys(STEERS) as Steer[];
  const offs = steers.map((steer) => ({
    steer,
    off: whyNotSteer(rollout, steer) ?? whyNot(STEERS[steer].action),
  }));
  return (
    <>
      <p class="buttons">
        {offs.map(({ steer, off }) => (
          <button
            key={steer}
            type="button"
            class={steer === 'abort' ? 'danger' : undefined}
            disabled={off !== undefined}
            onClick={() => (dialog.value = { kind: 'steer', rollout, steer })}
          >
            {STEERS[steer].name}…
          </button>
        ))}
      </p>
      <ul class="hint">
        {offs.map(
          ({ steer, off }) =>
            off !== undefined && (
              <li key={steer}>
                {STEERS[steer].name}: {off}
              </li>
            ),
        )}
      </ul>
    </>
  );
}

function WaveSection({
  wave: { name, approvals, approval, regions },
  unitLabel,
}: {
  readonly wave: Wave;
  readonly unitLabel: Rollout['unitLabel'];
}) {
  return (
    <li class={`wave wave-${stateOf(regions)}`}>
      <h2>
        {name} <span class="quiet">{WAVE_WORDS[stateOf(regions)]}</span>
      </h2>
      {approvals > 0 && (
        <p>
          {approval === null ? (
            <span class="quiet">begins when another person approves</span>
          ) : (
            <>
              <Link to={pathOf('inbox', approval.request)}>
                {approval.lapsedReason === null ? approval.state : 'lapsed'}
                {approval.decidedBy !== null && ` by ${approval.decidedBy}`}
              </Link>
              {approval.state === 'pending' &&
                approval.lapsedReason === null &&
                ': see its evidence and decide'}
              {approval.lapsedReason !== null && `: ${approval.lapsedReason}`}
            </>
          )}
        </p>
      )}
      <ul>
        {regions.map((part) => (
          <PartCard key={part.region} part={part} unitLabel={unitLabel} />
        ))}
      </ul>
    </li>
  );
}

/** A wave gets on as its regions do. */
function stateOf(regions: readonly Part[]): keyof typeof WAVE_WORDS {
  if (regions.every(({ state }) => state === 'done')) return 'done';
  return regions.some(({ state, permille }) => permille > 0 || state === 'baking') ? 'now' : 'waiting';
}

/** The earliest moment of what comes next, while that is still to come. */
function Earliest({ at }: { readonly at: string | null }) {
  if (at === null || Date.parse(at) <= nowMs.value) return null;
  return (
    <p class="quiet">
      at the earliest <Until at={at} />, at <Moment at={at} />
    </p>
  );
}

function PartCard({ part, unitLabel }: { readonly part: Part; readonly unitLabel: Rollout['unitLabel'] }) {
  const { region, state, permille, step, steps, bake, skipped, verdicts, units } = part;
  return (
    <li class={`request part-${state ?? 'over'}`} data-part={region}>
      <h3 class="part-head">
        <span class="gate-name">{region}</span>
        {state !== null && (
          <span>
            {PART_SIGNS[state]} {state}
          </span>
        )}
      </h3>
      <p>
        <strong>{percent(permille)}</strong>
        {units !== null && ` of ${units.toLocaleString('en')} ${unitLabel.many}`}, step {step} of {steps}
      </p>
      <Drawn share={permille / 1_000} />
      {part.reason !== '' && <p class="why">{part.reason}</p>}
      <Earliest at={part.earliest} />
      {bake !== null && (
        <dl class="facts">
          <Have name="Runs" have={bake.runs} need={bake.runsNeeded} />
          <Have name="Changes" have={bake.changes} need={bake.changesNeeded} />
          <Have name="Time" have={bake.elapsedMs} need={bake.elapsedNeededMs} text={span} />
        </dl>
      )}
      {skipped.map((each) => (
        <p key={each.permille} class="verdict verdict-skipped">
          ↷ {percent(each.permille)} skipped, not checked: {each.reason} ({each.by}
          {each.approvedBy !== null && `, approved by ${each.approvedBy}`})
        </p>
      ))}
      {verdicts.map(({ rule, verdict, reason }) => {
        const why = reason.startsWith(`${rule}: `) ? reason.slice(rule.length + 2) : reason;
        // The words of the verdict would say it twice: too few, not judged yet.
        const isUnjudged = why.startsWith('not judged');
        return (
          <p
            key={rule}
            class={`verdict verdict-${verdict === 'pass' || verdict === 'fail' ? verdict : 'open'}`}
          >
            {VERDICT_SIGNS[verdict]} {rule}: {isUnjudged ? why : verdict.replaceAll('-', ' ')}
            {!isUnjudged && <span class="quiet"> {why}</span>}
          </p>
        );
      })}
      {part.withoutWorker.length > 0 && (
        <p class="warn">No worker runs {part.withoutWorker.join(', ')} here.</p>
      )}
    </li>
  );
}

interface HaveProps {
  readonly name: string;
  readonly have: number;
  readonly need: number;
  readonly text?: (n: number) => string;
}

/** How much of what a bake needs is there. */
function Have({ name, have, need, text = (n) => n.toLocaleString('en') }: HaveProps) {
  return (
    <>
      <dt>{name}</dt>
      <dd>
        {have >= need ? '✓ ' : ''}
        {text(have)} of {text(need)}
        <Drawn share={need === 0 ? 1 : have / need} />
      </dd>
    </>
  );
}

/** A share of the whole, for the eye: its words stand beside it. */
function Drawn({ share }: { readonly share: number }) {
  return (
    <svg class="part-bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
      <rect class="share-all" width="100" height="4" />
      <rect class="progress-done" width={100 * Math.min(1, share)} height="4" />
    </svg>
  );
}

const WAVE_WORDS = { done: '✓ done', now: 'under way', waiting: 'not begun' } as const;
const STATUS_SIGNS = { running: '▶', paused: '⏸', completed: '✓', aborted: '✕' } as const;
const PART_SIGNS = { waiting: '○', baking: '◔', held: '⏸', ready: '▶', done: '✓' } as const;
const VERDICT_SIGNS = { pass: '✓', fail: '✕', 'too-few': '?', 'no-data': '?', unreachable: '?' } as const;
