import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { countOf, number } from '../../kernel/words.js';
import { call, whyNot, type Output } from '../api.js';
import { dialog, type RunPart } from '../dialogs.js';
import { Copyable } from '../parts/copy.js';
import { BeforeAfterTable } from '../parts/dialog.js';
import { Moment } from '../parts/moment.js';
import { Problem } from '../parts/problem.js';
import { ProgressBar } from '../parts/progress-bar.js';
import { isOver, RunLink, RunStatus, shortRun, totalOf, type Run } from '../parts/run-status.js';
import { columnsOf, type Image } from './changed-columns.js';

export type Preview = Output<'previewRestore'>;
/** Its conflicts are a file's work, where they are many. */
const MOST_CONFLICTS = 50;

interface Conflict {
  readonly resource: string;
  readonly key: string;
  readonly unit: string;
  readonly before: Image;
  readonly after: Image;
  readonly now: Image;
  readonly refusal: string | null;
}

interface Compared {
  readonly preview: Preview;
  readonly conflicts: readonly Conflict[];
}

/** What a restore would do, on demand since it compares every row; and the restores there were. */
export function RestorePart({ run, restores }: { readonly run: Run; readonly restores: readonly Run[] }) {
  const compared = useSignal<Compared | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const busy = useSignal(false);
  const compare = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      const preview = await call('previewRestore', { id: run.runId });
      const conflicts = preview.conflicts > 0 ? await someConflicts(run.runId) : [];
      compared.value = { preview, conflicts };
    } catch (thrown) {
      error.value = thrown;
    }
    busy.value = false;
  };
  return (
    <section aria-labelledby="restore">
      <h2 id="restore">Restore</h2>
      {restores.map((each) => (
        <RestoreProgress key={each.runId} restore={each} of={totalOf(run.applied)} />
      ))}
      {restores.length === 0 && <p class="quiet">Nobody has restored it.</p>}
      <p class="buttons">
        <button type="button" disabled={busy.value} onClick={() => void compare()}>
          {busy.value ? 'Comparing every row…' : 'See what a restore would do now'}
        </button>
      </p>
      {error.value !== undefined && <Problem error={error.value} />}
      {compared.value !== undefined && <Comparison {...compared.value} />}
    </section>
  );
}

async function someConflicts(id: string): Promise<Conflict[]> {
  const found: Conflict[] = [];
  for await (const each of await call('exportConflicts', { id })) {
    found.push(each);
    if (found.length >= MOST_CONFLICTS) break;
  }
  return found;
}

/** How far a restore has got. */
export function RestoreProgress({ restore, of }: { readonly restore: Run; readonly of: number }) {
  const restored = totalOf(restore.applied);
  const planned = totalOf(restore.planned);
  return (
    <ProgressBar
      have={restored}
      of={planned === 0 ? of : planned}
      label={`Restore ${shortRun(restore.runId)}`}
    >
      <RunStatus status={restore.status} /> <RunLink id={restore.runId} copy />: {number(restored)} of{' '}
      {countOf(planned === 0 ? of : planned, 'row')} restored
      {restore.conflicts > 0 && `, ${countOf(restore.conflicts, 'conflict')}`}
      <span class="quiet">
        {isOver(restore) ? ', ended ' : ', began '}
        <Moment at={restore.finishedAt ?? restore.createdAt} />
      </span>
      {restore.status !== 'succeeded' && isOver(restore) && <span class="why">: {restore.reason}</span>}
    </ProgressBar>
  );
}

/** What becomes of the rows that a run changed. */
export function PreviewTable({ preview }: { readonly preview: Preview }) {
  const { applied, restorable, conflicts, asBefore, alreadyRestored } = preview;
  return (
    <BeforeAfterTable
      caption={`${countOf(applied, 'row')} that the run changed`}
      heads={['Now', 'Rows', 'Then']}
      changes={[
        { place: 'As the run left them', now: restorable, then: 'back to what they were' },
        { place: 'Changed by others since', now: conflicts, then: 'skipped, as conflicts' },
        { place: 'Brought back by others', now: asBefore, then: 'nothing to do' },
        { place: 'Restored already', now: alreadyRestored, then: 'nothing to do' },
      ]}
    />
  );
}

function Comparison({ preview, conflicts }: Compared) {
  return (
    <div class="request">
      <PreviewTable preview={preview} />
      {conflicts.length > 0 && (
        <>
          <h3>Conflicts: each is for a person to decide</h3>
          <div class="scrolls" tabIndex={0} role="region" aria-label="Conflicts">
            <table class="list">
              <thead>
                <tr>
                  <th scope="col">Row</th>
                  <th scope="col">Before the run</th>
                  <th scope="col">After it</th>
                  <th scope="col">Now</th>
                </tr>
              </thead>
              <tbody>
                {conflicts.map(({ resource, key, unit, before, after, now, refusal }) => (
                  <tr key={`${resource} ${key}`}>
                    <th scope="row">
                      {resource} <code>{key}</code>
                      <br />
                      <span class="quiet">{unit}</span>
                    </th>
                    <td>{imageText(before)}</td>
                    <td>{imageText(after)}</td>
                    <td>
                      {imageText(now)}
                      {refusal !== null && <p class="warn">{refusal}</p>}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {preview.conflicts > conflicts.length && (
            <p class="hint">The first {conflicts.length}. This command lists all of them:</p>
          )}
          <Copyable
            text={`portcullis restore ${shortRun(preview.runId)} --dry-run --conflicts csv > conflicts.csv`}
            what="the command that lists conflicts"
          />
        </>
      )}
    </div>
  );
}

function imageText(image: Image): string {
  if (image === null) return 'no row';
  return columnsOf(image)
    .map(([column, value]) => `${column}: ${value}`)
    .join(', ');
}

/** Why a run cannot be restored; undefined: it can. The server decides all the same. */
export function whyNotRestore(run: Run): string | undefined {
  if (run.trigger === 'restore') return 'it is a restore itself.';
  if (totalOf(run.applied) === 0) return 'it changed nothing.';
  if (!isOver(run)) return 'it is not over: kill its gate first.';
  return whyNot('restore', run.region);
}

interface RestoreButtonProps {
  /** The run, or the id of one that is read first. */
  readonly run: Run | string;
  readonly part: RunPart;
  /** What it restores, for whoever hears the button alone. */
  readonly what?: string;
  readonly children?: ComponentChildren;
}

/** Opens the restore of a part of a run; the dialog shows first what it would do. */
export function RestoreButton({ run, part, what, children = 'Restore…' }: RestoreButtonProps) {
  const error = useSignal<unknown>(undefined);
  const open = async (): Promise<void> => {
    error.value = undefined;
    try {
      const read = typeof run === 'string' ? await call('getRun', { id: run }) : run;
      dialog.value = { kind: 'restore', run: read, part };
    } catch (thrown) {
      error.value = thrown;
    }
  };
  return (
    <>
      <button
        type="button"
        aria-label={what === undefined ? undefined : `Restore ${what}…`}
        onClick={() => void open()}
      >
        {children}
      </button>
      {error.value !== undefined && <Problem error={error.value} />}
    </>
  );
}
