import { call } from '../api.js';
import { closeDialog } from '../dialogs.js';
import { askedOf, type Request } from '../inbox/asked.js';
import { Changes, whyNotDecide, type Decision } from '../inbox/request.js';
import { Copyable } from '../parts/copy.js';
import { Dialog } from '../parts/dialog.js';
import { Failure, Outcome, useAct } from './act.js';

interface DecideProps {
  /** As it was shown: its evidence never changes, and what was decided or outdated meanwhile is refused. */
  readonly request: Request;
  readonly decision: Decision;
}

/** Approves or rejects one request, on the evidence that it was made with. */
export function DecideDialog({ request, decision }: DecideProps) {
  const { id, subject, reason } = request;
  const asked = askedOf(request);
  const act = useAct((_: Pick<DecideProps, 'decision'>, options) => call(decision, { id }, options));
  const standing = act.standing.value;
  const refused = whyNotDecide(request, decision);
  const approves = decision === 'approve';
  if (standing.at === 'done') {
    return (
      <Dialog title={approves ? 'Approved' : 'Rejected'} onClose={closeDialog}>
        <div class="dialog-body">
          <Outcome title={`${id} ${standing.result.state}`} lines={linesOf(standing.result)} />
        </div>
        <footer class="dialog-foot">
          <button type="button" onClick={closeDialog}>
            Close
          </button>
        </footer>
      </Dialog>
    );
  }
  return (
    <Dialog title={`${approves ? 'Approve' : 'Reject'} ${id}`} onClose={closeDialog}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (refused === undefined) act.do({ decision });
        }}
      >
        <div class="dialog-body">
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
              You approve the evidence <code>{asked.hash.slice(0, 12)}</code>. If it gets worse, the approval
              no longer counts.
            </p>
          )}
          <Copyable text={`portcullis ${decision} ${id}`} what="the command that does the same" />
          {refused !== undefined && <p class="refused">{refused}</p>}
          <Failure standing={standing} />
        </div>
        <footer class="dialog-foot">
          <span class="spring" />
          <button type="button" onClick={closeDialog}>
            Cancel
          </button>
          <button
            type="submit"
            class={approves ? 'primary' : 'danger'}
            disabled={refused !== undefined || standing.at === 'doing'}
          >
            {standing.at === 'doing' ? 'Deciding…' : approves ? 'Approve' : 'Reject'}
          </button>
        </footer>
      </form>
    </Dialog>
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
