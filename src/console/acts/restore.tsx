import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { quoted } from '../../kernel/words.js';
import { call } from '../api.js';
import { useWatched } from '../live/use-watched.js';
import { Copyable } from '../parts/copy.js';
import { Problem } from '../parts/problem.js';
import { Reason } from '../parts/reason.js';
import { isOver, shortRun, totalOf, type Run } from '../parts/run-status.js';
import { PreviewTable, RestoreProgress, type Preview } from '../runs/restore-part.js';
import { whyNotRestore } from '../runs/run-detail.js';
import { ActDialog, DoneDialog, Outcome, useAct } from './act.js';

const EVERY_MS = 1_000;

/** Puts the rows that a run changed back to what they were; a worker of its region does it. */
export function RestoreDialog({ run }: { readonly run: Run }) {
  const { runId: id, job, region } = run;
  const reason = useSignal('');
  const preview = useSignal<Preview | undefined>(undefined);
  const unread = useSignal<unknown>(undefined);
  useEffect(() => {
    call('previewRestore', { id }).then(
      (read) => (preview.value = read),
      (error: unknown) => (unread.value = error),
    );
  }, [id]);
  const act = useAct((text: string, options) => call('restoreRun', { id, reason: text }, options));
  const standing = act.standing.value;
  if (standing.at === 'done') {
    const { restore, begun } = standing.result;
    return (
      <DoneDialog title={begun ? 'Restore begun' : 'Restore under way'}>
        <Outcome
          title={`Restore ${shortRun(restore)} of run ${shortRun(id)}`}
          lines={[
            `${job} ${region}: ${begun ? 'a worker of the region carries it out' : 'it had begun already; to ask twice is to ask once'}`,
            `portcullis run show ${shortRun(restore)}`,
          ]}
        />
        <Following id={restore} of={totalOf(run.applied)} />
      </DoneDialog>
    );
  }
  const why = reason.value.trim();
  return (
    <ActDialog
      title={`Restore run ${shortRun(id)}`}
      act={act}
      input={why === '' || preview.value === undefined ? undefined : why}
      refused={whyNotRestore(run)}
      button={{ name: 'Restore', doing: 'Beginning…', kind: 'primary' }}
    >
      <p class="strong">
        {job} in {region}
      </p>
      {unread.value !== undefined ? (
        <Problem error={unread.value} />
      ) : preview.value === undefined ? (
        <p class="quiet">Comparing every row with the tables…</p>
      ) : (
        <PreviewTable preview={preview.value} />
      )}
      <p class="hint">It goes on while the gate is killed, and stops where everything was stopped.</p>
      <Reason value={reason} hint="It stands on record." autofocus />
      <Copyable
        text={`portcullis restore ${shortRun(id)} --reason ${quoted(why === '' ? '…' : why)}`}
        what="the command that does the same"
      />
    </ActDialog>
  );
}

/** A restore as it gets on. */
function Following({ id, of }: { readonly id: string; readonly of: number }) {
  const { data, error } = useWatched<Run>(id, {
    read: (_, before) =>
      before !== undefined && isOver(before) ? Promise.resolve(before) : call('getRun', { id }),
    affects: ({ kind }) => kind === 'run',
    everyMs: EVERY_MS,
  });
  return (
    <>
      {data.value !== undefined && <RestoreProgress restore={data.value} of={of} />}
      {error.value !== undefined && <Problem error={error.value} />}
    </>
  );
}
