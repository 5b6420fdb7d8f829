import { useSignal } from '@preact/signals';
import type { CallOptions } from '../../client/client.js';
import { quoted } from '../../kernel/words.js';
import { call } from '../api.js';
import { BeforeAfterTable } from '../parts/dialog.js';
import { Copyable } from '../parts/copy.js';
import { Reason } from '../parts/reason.js';
import type { Rollout } from '../rollout/steers.js';
import { changesOf, STEERS, type Steer } from '../rollout/steers.js';
import { ActDialog, DoneDialog, Outcome, useAct } from './act.js';

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
  const act = useAct((text: string, options) => carryOut(rollout, steer, text, options));
  const standing = act.standing.value;
  const why = reason.value.trim();
  const changes = changesOf(rollout, steer);
  if (standing.at === 'done') {
    return (
      <DoneDialog title={`${name}: done`}>
        <Outcome title={`${name}: ${job} ${version}`} lines={standing.result} />
      </DoneDialog>
    );
  }
  return (
    <ActDialog
      title={`${name}: ${job}`}
      act={act}
      input={why === '' ? undefined : why}
      button={{
        name: steer === 'skip' ? 'Ask to skip' : name,
        doing: 'Under way…',
        kind: steer === 'abort' ? 'danger' : 'primary',
      }}
    >
      <p class="strong">
        <code>{version}</code>
      </p>
      {changes.length > 0 && <BeforeAfterTable changes={changes} />}
      <p>{effect}</p>
      <Reason value={reason} hint="It stands on record." autofocus />
      <Copyable
        text={`portcullis rollout ${command} ${job} --reason ${quoted(why === '' ? '…' : why)}`}
        what="the command that does the same"
      />
    </ActDialog>
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
