import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { quoted } from '../../kernel/words.js';
import { call } from '../api.js';
import type { RunPart } from '../dialogs.js';
import { useWatched } from '../live/use-watched.js';
import { Copyable } from '../parts/copy.js';
import { Problem } from '../parts/problem.js';
import { Reason } from '../parts/reason.js';
import { isOver, shortRun, totalOf, type Run } from '../parts/run-status.js';
import { PreviewTable, RestoreProgress, type Preview } from '../runs/restore-part.js';
import { whyNotRestore } from '../runs/restore-part.js';
import { ActDialog, DoneDialog, Outcome, useAct } from './act.js';

const EVERY_MS = 1_000;

interface RestoreProps {
  readonly run: Run;
  readonly part?: RunPart | undefined;
}

/** Puts the rows that a run changed, or a part of them, back to what they were; a worker of its region does it. */
export function RestoreDialog({ run, part }: RestoreProps) {
  const { runId: id, job, region } = run;
  const reason = useSignal('');
  const preview = useSignal<Preview | undefined>(undefined);
  const unread = useSignal<unknown>(undefined);
  useEffect(() => {
    call('previewRestore', { id, ...queryOf(part) }).then(
      (read) => (preview.value = read),
      (error: unknown) => (unread.value = error),
    );
  }, [id]);
  const act = useAct((text: string, options) =>
    call('restoreRun', { id, reason: text, ...orderOf(part) }, options),
  );
  const standing = act.standing.value;
  if (standing.at === 'done') {
    const { restore, begun } = standing.result;
    return (
      <DoneDialog title={begun ? 'Restore begun' : 'Restore under way'}>
        <Outcome
          title={`Restore ${shortRun(restore)} of ${part === undefined ? '' : `${textOf(part)} of `}run ${shortRun(id)}`}
          lines={[
            `${job} ${region}: ${begun ? 'a worker of the region carries it out' : 'it had begun already; to ask twice is to ask once'}`,
            `portcullis run show ${shortRun(restore)}`,
          ]}
        />
        <Following
          id={restore}
          of={part === undefined ? totalOf(run.applied) : (preview.value?.restorable ?? 0)}
        />
      </DoneDialog>
    );
  }
  const why = reason.value.trim();
  const left = preview.value === undefined ? undefined : leftOf(preview.value);
  return (
    <ActDialog
      title={`Restore ${part === undefined ? '' : 'a part of '}run ${shortRun(id)}`}
      act={act}
      input={why === '' || left === undefined || left === 0 ? undefined : why}
      refused={whyNotRestore(run) ?? (left === 0 ? 'Nothing is left to put back.' : undefined)}
      button={{ name: 'Restore', doing: 'Beginning…', kind: 'primary' }}
    >
      <p class="strong">
        {job} in {region}
        {part !== undefined && `: only ${textOf(part)}`}
      </p>
      {unread.value !== undefined ? (
        <Problem error={unread.value} />
      ) : preview.value === undefined ? (
        <p class="quiet">Comparing the rows with the tables…</p>
      ) : (
        <PreviewTable preview={preview.value} />
      )}
      <p class="hint">It goes on while the gate is killed, and stops where everything was stopped.</p>
      <Reason value={reason} hint="It stands on record." autofocus />
      <Copyable
        text={`portcullis restore ${shortRun(id)}${optionOf(part)} --reason ${quoted(why === '' ? '…' : why)}`}
        what="the command that does the same"
      />
    </ActDialog>
  );
}

/** Rows that a restore would look at: as the run left them, brought back by others, or conflicts. */
const leftOf = ({ restorable, asBefore, conflicts }: Preview): number => restorable + asBefore + conflicts;

const queryOf = (part: RunPart | undefined) =>
  part === undefined ? {} : 'unit' in part ? { unit: [part.unit] } : { key: [part.key] };

const orderOf = (part: RunPart | undefined) =>
  part === undefined ? {} : 'unit' in part ? { units: [part.unit] } : { keys: [part.key] };

const textOf = (part: RunPart): string => ('unit' in part ? `unit ${part.unit}` : `row ${part.key}`);

const optionOf = (part: RunPart | undefined): string =>
  part === undefined ? '' : 'unit' in part ? ` --unit ${quoted(part.unit)}` : ` --key ${quoted(part.key)}`;

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
