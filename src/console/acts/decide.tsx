import { useSignal } from '@preact/signals';
import { quoted } from '../../kernel/words.js';
import { call } from '../api.js';
import { askedOf, type Request } from '../inbox/asked.js';
import { Changes, whyNotDecide, type Decision } from '../inbox/request.js';
import { Copyable } from '../parts/copy.js';
import { Reason } from '../parts/reason.js';
import { ActDialog, DoneDialog, Outcome, useAct } from './act.js';

interface DecideProps {
  /** As it was shown: its evidence never changes, and what was decided or outdated meanwhile is refused. */
  readonly request: Request;
  readonly decision: Exclude<Decision, 'approveAlone'>;
}

/** Approves or rejects one request, on the evidence that it was made with. */
export function DecideDialog({ request, decision }: DecideProps) {
  const { id, subject, reason } = request;
  const asked = askedOf(request);
  const why = useSignal('');
  const act = useAct((text: string, options) =>
    call(decision, { id, ...(text !== '' && { reason: text }) }, options),
  );
  const standing = act.standing.value;
  const refused = whyNotDecide(request, decision);
  const approves = decision === 'approve';
  if (standing.at === 'done') {
    return (
      <DoneDialog title={approves ? 'Approved' : 'Rejected'}>
        <Outcome title={`${id} ${standing.result.state}`} lines={linesOf(standing.result)} />
      </DoneDialog>
    );
  }
  const said = why.value.trim();
  return (
    <ActDialog
      title={`${approves ? 'Approve' : 'Reject'} ${id}`}
      act={act}
      input={said}
      refused={refused}
      button={
        approves
          ? { name: 'Approve', doing: 'Deciding…', kind: 'primary' }
          : { name: 'Reject', doing: 'Deciding…', kind: 'danger' }
      }
    >
      <p class="strong">
        {asked.title}: {subject}
      </p>
      <p class="why">{reason}</p>
      {approves ? (
        <>
          <Changes asked={asked} />
          <p>{asked.effect}</p>
        </>
      ) : (
        <p>Nothing changes: what was asked for is not done. It can be asked for again.</p>
      )}
      {approves && asked.hash !== undefined && (
        <p class="hint">
          You approve the evidence <code>{asked.hash.slice(0, 12)}</code>. If it gets worse, the approval no
          longer counts.
        </p>
      )}
      <Reason
        value={why}
        hint="It stands on record beside the request; you may leave it empty."
        optional
        autofocus
      />
      <Copyable
        text={`portcullis ${decision} ${id}${said === '' ? '' : ` --reason ${quoted(said)}`}`}
        what="the command that does the same"
      />
    </ActDialog>
  );
}

/** Lets one's own request approve itself after an hour, for an installation on which nobody else may. */
export function ApproveAloneDialog({ request }: Pick<DecideProps, 'request'>) {
  const { id, subject, reason } = request;
  const asked = askedOf(request);
  const act = useAct((_: true, options) => call('approveAlone', { id }, options));
  const standing = act.standing.value;
  if (standing.at === 'done') {
    const { aloneAt } = standing.result;
    return (
      <DoneDialog title="It approves itself">
        <Outcome
          title={`${id} approves itself at ${aloneAt ?? ''}`}
          lines={[subject, 'Everybody is told, and anybody may reject it until then']}
        />
        <Copyable text={`portcullis reject ${id}`} what="the command that rejects it" />
      </DoneDialog>
    );
  }
  return (
    <ActDialog
      title={`Approve ${id} alone`}
      act={act}
      input={true}
      refused={whyNotDecide(request, 'approveAlone')}
      button={{ name: 'Approve it in an hour', doing: 'Asking…', kind: 'primary' }}
    >
      <p class="strong">
        {asked.title}: {subject}
      </p>
      <p class="why">{reason}</p>
      <Changes asked={asked} />
      <p>
        An hour from now it approves itself, unless somebody rejects it before. It is refused where another
        person may approve it, and everybody is told.
      </p>
      <Copyable text={`portcullis approve ${id} --alone`} what="the command that does the same" />
    </ActDialog>
  );
}

function linesOf({ subject, decidedBy, decidedAt, carriedOutAt, introducedBy, caution }: Request): string[] {
  return [
    subject,
    `Decided by ${decidedBy ?? ''} at ${decidedAt ?? ''}`,
    ...(carriedOutAt === null ? [] : [`Carried out at ${carriedOutAt}`]),
    ...(introducedBy === null ? [] : [`Introduced by ${introducedBy}`]),
    ...(caution === null ? [] : [caution]),
  ];
}
