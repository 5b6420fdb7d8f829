import { call, whyNot } from '../api.js';
import { Copyable } from '../parts/copy.js';
import { ActDialog, DoneDialog, Outcome, useAct } from './act.js';

/** Sends a notification that only tells whether receivers get it. */
export function TestNotificationDialog({ receiver }: { readonly receiver?: string | undefined }) {
  const act = useAct((_: true, options) => call('testNotification', { receiver }, options));
  const standing = act.standing.value;
  if (standing.at === 'done') {
    return (
      <DoneDialog title="Test sent">
        <Outcome
          title={`Notification ${standing.result.id}`}
          lines={['What became of its deliveries stands in the list of notifications']}
        />
      </DoneDialog>
    );
  }
  return (
    <ActDialog
      title="Send a test notification"
      act={act}
      input={true}
      refused={whyNot('notify')}
      button={{ name: 'Send the test', doing: 'Sending…', kind: 'primary' }}
    >
      <p>
        {receiver === undefined ? 'Every receiver that is configured' : receiver} gets one message, which says
        that it is a test.
      </p>
      <Copyable
        text={`portcullis notifications test${receiver === undefined ? '' : ` ${receiver}`}`}
        what="the command that does the same"
      />
    </ActDialog>
  );
}

/** Tries deliveries again that were given up. */
export function RetryNotificationDialog({ id, title }: { readonly id: string; readonly title: string }) {
  const act = useAct((_: true, options) => call('retryNotification', { id }, options));
  const standing = act.standing.value;
  if (standing.at === 'done') {
    return (
      <DoneDialog title="Tried again">
        <Outcome
          title={title}
          lines={standing.result.deliveries.map(({ receiver, state }) => `${receiver}: ${state}`)}
        />
      </DoneDialog>
    );
  }
  return (
    <ActDialog
      title="Try deliveries again"
      act={act}
      input={true}
      refused={whyNot('notify')}
      button={{ name: 'Try again', doing: 'Trying…', kind: 'primary' }}
    >
      <p class="strong">{title}</p>
      <p>Deliveries that were given up are tried as if for the first time.</p>
      <Copyable text={`portcullis notifications retry ${id}`} what="the command that does the same" />
    </ActDialog>
  );
}
