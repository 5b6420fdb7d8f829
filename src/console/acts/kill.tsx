import { useComputed, useSignal, type ReadonlySignal } from '@preact/signals';
import { countOf, quoted } from '../../kernel/words.js';
import { call, whyNot, type Output } from '../api.js';
import { overview, placesOf, type Place } from '../now/overview.js';
import { Copyable } from '../parts/copy.js';
import { BeforeAfterTable } from '../parts/dialog.js';
import { Reason } from '../parts/reason.js';
import { Link, pathOf } from '../router.js';
import { StateTag } from '../parts/state.js';
import { ActDialog, DoneDialog, Outcome, useAct, useJob } from './act.js';
import { Scope } from './scope.js';

interface KillProps {
  readonly job?: string | undefined;
  readonly region?: string | undefined;
  readonly everything?: boolean | undefined;
}

interface Order {
  /** Null: every job. */
  readonly job: string | null;
  /** Null: every region. */
  readonly region: string | null;
  readonly reason: string;
  readonly drill: boolean;
}

type Killed = Output<'killJob'>;

/** Kills need no approval, and so no more than a reason; stopping everything takes one more confirmation. */
export function KillDialog({ job, region, everything = false }: KillProps) {
  const whichJob = useJob(job);
  const where = useSignal(region ?? '');
  const all = useSignal(everything);
  const sure = useSignal(false);
  const drill = useSignal(false);
  const reason = useSignal('');
  const reached = useComputed(() =>
    placesOf(overview().data.value?.jobs).filter(
      (place) =>
        all.value ||
        (place.job.job === whichJob.value && (where.value === '' || place.gate.region === where.value)),
    ),
  );
  const act = useAct(async (order: Order, options): Promise<readonly Killed[]> => {
    const { reason: why, drill: practice } = order;
    if (order.job === null) {
      return (await call('stopEverything', { reason: why, drill: practice }, options)).jobs;
    }
    const region = order.region === null ? {} : { region: order.region };
    return [await call('killJob', { job: order.job, ...region, reason: why, drill: practice }, options)];
  });
  const standing = act.standing.value;
  const regionToAsk = all.value || where.value === '' ? undefined : where.value;
  const refused = whyNot('kill', regionToAsk);
  const incomplete = reason.value.trim() === '' || (all.value ? !sure.value : whichJob.value === '');
  const gates = countOf(reached.value.length, 'gate');
  if (standing.at === 'done') {
    return (
      <DoneDialog title={all.value ? 'Everything is stopped' : 'Killed'}>
        <KillOutcome killed={standing.result} />
      </DoneDialog>
    );
  }
  const order = {
    job: all.value ? null : whichJob.value,
    region: where.value === '' ? null : where.value,
    reason: reason.value.trim(),
    drill: drill.value,
  };
  return (
    <ActDialog
      title={all.value ? 'Stop everything' : 'Kill'}
      className="dialog-kill"
      act={act}
      input={incomplete ? undefined : order}
      refused={refused}
      button={{
        name: all.value ? `Stop all ${gates}` : `Kill ${gates}`,
        doing: 'Killing…',
        kind: 'danger',
      }}
      aside={
        <button
          type="button"
          class="quiet-button"
          onClick={() => {
            all.value = !all.value;
            sure.value = false;
          }}
        >
          {all.value ? 'Kill one job instead' : 'Stop everything…'}
        </button>
      }
    >
      {!all.value && <Scope job={whichJob} region={where} />}
      <Reason value={reason} hint="It stands on record, and whoever re-arms it reads it." autofocus />
      <Before reached={reached} everything={all.value} />
      <p class="hint">
        {all.value
          ? 'No change of any job commits any more, and restores stop too.'
          : 'No change of the job commits there any more. Restores go on.'}{' '}
        No approval is needed. Nothing but a re-arm, which a second person approves, opens a killed gate.
      </p>
      <label class="check">
        <input
          type="checkbox"
          checked={drill.value}
          onChange={(event) => (drill.value = event.currentTarget.checked)}
        />
        A drill: gates are killed all the same; incident and notices say drill
      </label>
      {all.value && (
        <label class="check strong">
          <input
            type="checkbox"
            checked={sure.value}
            onChange={(event) => (sure.value = event.currentTarget.checked)}
          />
          Yes, stop every job in every region, and restores: {gates}
        </label>
      )}
      <Copyable
        text={commandOf(all.value, whichJob.value, where.value, reason.value)}
        what="the command that does the same"
      />
    </ActDialog>
  );
}

const SHOWN = 6;

/** What would be changed, as it is now and as it would be. */
function Before({
  reached,
  everything,
}: {
  readonly reached: ReadonlySignal<readonly Place[]>;
  readonly everything: boolean;
}) {
  const shown = reached.value.slice(0, SHOWN);
  const more = reached.value.length - shown.length;
  return (
    <BeforeAfterTable
      heads={['Gate', 'Now', 'Then']}
      changes={shown.map(({ job, gate }) => ({
        place: everything ? `${job.job} ${gate.region}` : gate.region,
        now: <StateTag state={gate.state} />,
        then: <StateTag state="killed" />,
      }))}
      more={
        shown.length === 0
          ? 'There is no gate to kill.'
          : more > 0
            ? `and ${countOf(more, 'more gate')}`
            : undefined
      }
    />
  );
}

function KillOutcome({ killed }: { readonly killed: readonly Killed[] }) {
  const gates = killed.flatMap((each) => each.killed);
  const incidents = [...new Set(killed.flatMap(({ incident }) => incident ?? []))];
  const lines = [
    ...gates.map(
      ({ job, region, tookMs, inFlight, runsEnded }) =>
        `${job} ${region}: killed in ${Math.round(tookMs)} ms; ${countOf(inFlight, 'batch', 'batches')} in flight, ${countOf(runsEnded.length, 'run')} ended`,
    ),
    ...incidents.map((id) => `Incident ${id}`),
    ...killed.flatMap(({ unrecorded }) =>
      unrecorded === undefined ? [] : [`Not on record yet: ${unrecorded}`],
    ),
    ...killed.flatMap(({ flagsAt }) => (flagsAt === undefined ? [] : [`Flags are unchanged at ${flagsAt}`])),
  ];
  return (
    <>
      <Outcome
        title={`${countOf(gates.length, 'gate')} killed: no change commits there any more`}
        lines={lines}
      />
      {incidents.map((id) => (
        <p key={id}>
          <Link to={pathOf('incidents', id)}>Go on with incident {id}</Link>: what it did, and the way back
        </p>
      ))}
    </>
  );
}

function commandOf(everything: boolean, job: string, region: string, reason: string): string {
  const why = `--reason ${quoted(reason.trim() === '' ? '…' : reason.trim())}`;
  if (everything) return `portcullis stop --all ${why}`;
  return `portcullis kill ${job}${region === '' ? '' : ` --region ${region}`} ${why}`;
}
