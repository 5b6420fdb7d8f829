import { useSignal } from '@preact/signals';
import type { CallOptions } from '../../client/client.js';
import { call } from '../api.js';
import { closeDialog } from '../dialogs.js';
import { BeforeAfterTable } from '../inbox/request.js';
import { Copyable } from '../parts/copy.js';
import { Dialog } from '../parts/dialog.js';
import { Reason } from '../parts/reason.js';
import type { Rollout } from '../rollout/rollouts.js';
import { changesOf, STEERS, type Steer } from '../rollout/steers.js';
import { Failure, Outcome, useAct } from './act.js';
import { quoted } from './kill.js';

interface SteerProps {
  /** As it was shown: refused if it has changed since. */
  readonly rollout: Rollout;
  readonly steer: Steer;
}

/** Pauses, resumes or aborts a rollout, or asks for its bakes to be skipped. */
export function SteerDialog({ rollout, steer }: SteerProps) {
  const { job, version } = rollout;
  const { name, effect, command } = STEERS[steer];
  const reason = useSignal('');
  const act = useAct((why: string, options) => carryOut(rollout, steer, why, options));
  const standing = act.standing.value;
  const incomplete = reason.value.trim() === '';
  const changes = changesOf(rollout, steer);
  if (standing.at === 'done') {
    return (
      <Dialog title={`${name}: done`} onClose={closeDialog}>
        <div class="dialog-body">
          <Outcome title={`${name}: ${job} ${version}`} lines={standing.result} />
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
    <Dialog title={`${name}: ${job}`} onClose={closeDialog}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!incomplete) act.do(reason.value.trim());
        }}
      >
        <div class="dialog-body">
          <p class="strong">
            <code>{version}</code>
          </p>
          {changes.length > 0 && <BeforeAfterTable changes={changes} />}
          <p>{effect}</p>
          <Reason value={reason} hint="It stands on record." autofocus />
          <Copyable
            text={`portcullis rollout ${command} ${job} --reason ${quoted(incomplete ? '…' : reason.value.trim())}`}
            what="the command that does the same"
          />
          <Failure standing={standing} />
        </div>
        <footer class="dialog-foot">
          <span class="spring" />
          <button type="button" onClick={closeDialog}>
            Cancel
          </button>
          <button
            type="submit"
            class={steer === 'abort' ? 'danger' : 'primary'}
            disabled={incomplete || standing.at === 'doing'}
          >
            {standing.at === 'doing' ? 'Under way…' : steer === 'skip' ? 'Ask to skip' : name}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

async function carryOut(
  { job, revision }: Rollout,
  steer: Steer,
  reason: string,
  options: CallOptions,
): Promise<readonly string[]> {
  const order = { job, reason, ifRevision: revision };
  if (steer === 'skip') {
    const { id, subject, expiresAt } = await call('promoteRollout', order, options);
    return [subject, `Request ${id}: another person decides before ${expiresAt}`, `portcullis approve ${id}`];
  }
  const { status, next, endReason } = await call(`${steer}Rollout`, order, options);
  return [`The rollout is ${status}`, next?.reason ?? endReason ?? ''];
}
