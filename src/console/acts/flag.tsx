import { useSignal } from '@preact/signals';
import { quoted } from '../../kernel/words.js';
import { call, whyNot } from '../api.js';
import type { FlagTarget } from '../dialogs.js';
import type { Flag } from '../flags/flag-parts.js';
import { settingText } from '../flags/setting-text.js';
import { BeforeAfterTable } from '../parts/dialog.js';
import { Copyable } from '../parts/copy.js';
import { Reason } from '../parts/reason.js';
import { ActDialog, DoneDialog, Outcome, useAct } from './act.js';

interface FlagProps {
  /** As it was shown: refused if it has changed since. */
  readonly flag: Flag;
  readonly to: FlagTarget;
}

/** Turns a flag on or off, or sets it as it was at a revision. */
export function FlagDialog({ flag, to }: FlagProps) {
  const { job, region, name, revision } = flag;
  const reason = useSignal('');
  const act = useAct((text: string, options) => {
    const order = { job, region, reason: text, ifRevision: revision };
    return 'revision' in to
      ? call('revertFlag', { ...order, revision: to.revision }, options)
      : call('setFlag', { ...order, enabled: to.enabled }, options);
  });
  const standing = act.standing.value;
  if (standing.at === 'done') {
    const set = standing.result;
    return (
      <DoneDialog title="Flag set">
        <Outcome
          title={`${name} is ${settingText(set)}`}
          lines={[
            set.revision === set.before.revision
              ? 'It was so already: nothing changed'
              : `Revision ${set.revision}; before: ${settingText(set.before)}`,
          ]}
        />
      </DoneDialog>
    );
  }
  const title = 'revision' in to ? `Revert to revision ${to.revision}` : to.enabled ? 'Turn on' : 'Turn off';
  const then = 'revision' in to ? to.setting : { ...flag, enabled: to.enabled };
  const why = reason.value.trim();
  const said = `--reason ${quoted(why === '' ? '…' : why)}`;
  return (
    <ActDialog
      title={`${title}: ${name}`}
      act={act}
      input={why === '' ? undefined : why}
      refused={whyNot('set-flag', region)}
      button={{ name: title, doing: 'Setting…', kind: then.enabled ? 'primary' : 'danger' }}
    >
      <BeforeAfterTable changes={[{ place: region, now: settingText(flag), then: settingText(then) }]} />
      <p class="hint">
        Every worker hears of it. What a version is admitted to limits its share all the same.
      </p>
      <Reason value={reason} hint="It stands on record." autofocus />
      <Copyable
        text={
          'revision' in to
            ? `portcullis flags revert ${job} --region ${region} --to ${to.revision} ${said}`
            : `portcullis flags set ${job} --region ${region} --${to.enabled ? 'on' : 'off'} ${said}`
        }
        what="the command that does the same"
      />
    </ActDialog>
  );
}
