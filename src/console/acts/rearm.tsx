import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { quoted } from '../../kernel/words.js';
import { call, whyNot } from '../api.js';
import { overview } from '../now/overview.js';
import { Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { Problem } from '../parts/problem.js';
import { Reason } from '../parts/reason.js';
import { StateTag } from '../parts/state.js';
import { ActDialog, DoneDialog, Outcome, useAct } from './act.js';

/** Asks for a killed gate to be re-armed; a second person decides. */
export function RearmDialog({ job, region }: { readonly job: string; readonly region: string }) {
  const reason = useSignal('');
  // The kill that the person sees: one that comes in meanwhile is refused.
  const seen = useSignal<number | undefined>(undefined);
  const unread = useSignal<unknown>(undefined);
  useEffect(() => {
    call('listGates', { job, region, limit: 1 }).then(
      ({ items }) => (seen.value = items[0]?.epoch),
      (error: unknown) => (unread.value = error),
    );
  }, [job, region]);
  const act = useAct((order: { readonly reason: string; readonly ifRevision: number }, options) =>
    call('requestRearm', { job, region, ...order }, options),
  );
  const standing = act.standing.value;
  const refused = whyNot('request-rearm', region);
  const gate = overview()
    .data.value?.jobs.find((each) => each.job === job)
    ?.gates.find((each) => each.region === region);
  if (standing.at === 'done') {
    const { id, expiresAt, joined } = standing.result;
    return (
      <DoneDialog title="Re-arm requested">
        <Outcome
          title={joined ? `Request ${id} asked for it already` : `Request ${id}`}
          lines={[
            `Re-arm of ${job} ${region}: a second person must approve it before ${expiresAt}`,
            'The gate stays killed until then',
          ]}
        />
        <p class="hint">They approve it with:</p>
        <Copyable text={`portcullis approve ${id}`} what="the command that approves it" />
        <p class="hint">
          It expires at <Moment at={expiresAt} />.
        </p>
      </DoneDialog>
    );
  }
  const why = reason.value.trim();
  return (
    <ActDialog
      title={`Re-arm ${job} in ${region}`}
      act={act}
      input={why === '' || seen.value === undefined ? undefined : { reason: why, ifRevision: seen.value }}
      refused={refused}
      button={{ name: 'Request the re-arm', doing: 'Requesting…', kind: 'primary' }}
    >
      {gate !== undefined && (
        <p class="change">
          <StateTag state={gate.state} /> <span aria-hidden="true">→</span> <span class="sr">then</span>{' '}
          killed until a second person approves, then held until its flag opens it
        </p>
      )}
      {gate !== undefined && gate.why !== '' && <p class="why">{gate.why}</p>}
      {unread.value !== undefined && <Problem error={unread.value} />}
      <Reason value={reason} hint="Why it is safe now: whoever approves reads it." autofocus />
      <Copyable
        text={`portcullis rearm ${job} --region ${region} --reason ${quoted(why === '' ? '…' : why)}`}
        what="the command that does the same"
      />
    </ActDialog>
  );
}
