import { useSignal } from '@preact/signals';
import { Fragment } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { countOf, number } from '../../kernel/words.js';
import { call } from '../api.js';
import { Moment } from '../parts/moment.js';
import { Problem } from '../parts/problem.js';
import { isOver, totalOf, type Run } from '../parts/run-status.js';
import { Link } from '../router.js';
import { ChangePages } from './change-pages.js';
import { changedColumns, columnsOf, type Change, type Image } from './changed-columns.js';
import { Choice } from './run-list.js';
import { RestoreButton } from './restore-part.js';
import { heightOf, scrollTopOf, topRow, type Rows } from './scrolled.js';

type State = Change['state'];
const STATES: readonly State[] = ['planned', 'applied', 'conflict', 'not-applied'];
const STATE_SIGNS: Readonly<Record<State, string>> = {
  planned: '○',
  applied: '✓',
  conflict: '≠',
  'not-applied': '–',
};

interface TableProps {
  readonly run: Run;
  /** Where any place of the list can be read at once; undefined: not known. */
  readonly lanes: readonly { readonly lane: number; readonly changes: number }[] | undefined;
}

/** A run's changes, before and after, as many as there are. Each reading of them goes on record, so they are read once. */
export function ChangeTable({ run, lanes }: TableProps) {
  const kind = useSignal('');
  const state = useSignal('');
  const kinds = Object.keys(run.planned);
  const key = `${kind.value} ${state.value}`;
  return (
    <section class="changes" aria-labelledby="changes">
      <div class="section-head">
        <h2 id="changes">Changes</h2>
        <Choice
          name="Kind"
          every="every kind"
          value={kind.value}
          among={kinds}
          onChange={(next) => (kind.value = next)}
        />
        <Choice
          name="State"
          every="any state"
          value={state.value}
          among={STATES}
          onChange={(next) => (state.value = next)}
        />
      </div>
      <Grid
        key={key}
        run={run}
        kind={kind.value === '' ? undefined : kind.value}
        state={STATES.find((each) => each === state.value)}
        lanes={key.trim() === '' ? lanes : undefined}
      />
    </section>
  );
}

interface GridProps extends TableProps {
  readonly kind: string | undefined;
  readonly state: State | undefined;
}

const KEYS = ['ArrowUp', 'ArrowDown', 'PageUp', 'PageDown', 'Home', 'End', 'Enter'];

function Grid({ run, lanes, kind, state }: GridProps) {
  const [, draw] = useState(0);
  const place = useSignal({ scrollTop: 0, viewHeight: 400, rowHeight: 36 });
  const current = useSignal(0);
  const box = useRef<HTMLDivElement>(null);
  const pages = useMemo(
    () =>
      new ChangePages<Change>({
        lanes,
        read: (page) => call('listRunChanges', { id: run.runId, kind, state, ...page }),
        changed: () => draw((times) => times + 1),
      }),
    [],
  );
  useLayoutEffect(() => {
    const look = (): void => {
      const element = box.current;
      if (element === null) return;
      const rowHeight = parseFloat(getComputedStyle(element).getPropertyValue('--row-px')) || 36;
      place.value = { scrollTop: element.scrollTop, viewHeight: element.clientHeight, rowHeight };
    };
    look();
    const element = box.current;
    const observer = new ResizeObserver(look);
    if (element !== null) observer.observe(element);
    element?.addEventListener('scroll', look, { passive: true });
    return () => {
      observer.disconnect();
      element?.removeEventListener('scroll', look);
    };
  }, []);
  const { scrollTop, viewHeight, rowHeight } = place.value;
  const rows: Rows = { count: pages.total + (pages.more ? 1 : 0), rowHeight, viewHeight };
  const top = topRow(rows, scrollTop);
  const first = Math.max(0, Math.floor(top) - 4);
  const last = Math.min(rows.count, Math.ceil(top + viewHeight / rowHeight) + 4);
  useEffect(() => pages.want(first, Math.max(last, first + 1)), [first, last]);
  const at = Math.min(current.value, Math.max(0, pages.total - 1));
  const go = (row: number): void => {
    current.value = row;
    const element = box.current;
    if (element === null) return;
    const fits = Math.max(1, Math.floor(viewHeight / rowHeight) - 1);
    if (row < Math.ceil(top)) element.scrollTop = scrollTopOf(rows, row);
    else if (row > top + fits) element.scrollTop = scrollTopOf(rows, row - fits);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (!KEYS.includes(event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const jump = Math.max(1, Math.floor(viewHeight / rowHeight) - 1);
    const end = pages.total - 1;
    const to: Readonly<Record<string, number>> = {
      ArrowUp: at - 1,
      ArrowDown: at + 1,
      PageUp: at - jump,
      PageDown: at + jump,
      Home: 0,
      End: end,
    };
    go(Math.min(end, Math.max(0, to[event.key] ?? at)));
  };
  const chosen = pages.row(at);
  const isEmpty = pages.total === 0 && !pages.more;
  return (
    <>
      {pages.error !== undefined && (
        <>
          <Problem error={pages.error} />
          <p class="buttons">
            <button type="button" onClick={() => pages.retry()}>
              Read them again
            </button>
          </p>
        </>
      )}
      <p class="hint" role="status">
        {isEmpty
          ? 'No change fits.'
          : `${number(pages.total)}${pages.more ? ' and more' : ` of ${number(totalOf(run.planned))}`} changes. Reading them goes on record.`}
      </p>
      <div
        ref={box}
        class={`change-box${isEmpty ? ' change-box-empty' : ''}`}
        role="grid"
        aria-label="Changes"
        aria-rowcount={pages.more ? -1 : pages.total}
        aria-activedescendant={chosen === undefined ? undefined : `change-${at}`}
        tabIndex={0}
        onKeyDown={onKeyDown}
      >
        <div class="change-all" role="presentation" style={{ height: `${heightOf(rows)}px` }}>
          {Array.from({ length: Math.max(0, last - first) }, (_, each) => first + each).map((row) => (
            <Row
              key={row}
              index={row}
              change={pages.row(row)}
              isCurrent={row === at}
              top={scrollTop + (row - top) * rowHeight}
              onChoose={() => go(row)}
            />
          ))}
        </div>
      </div>
      {chosen !== undefined && <ChangeFacts run={run} change={chosen} />}
    </>
  );
}

interface RowProps {
  readonly index: number;
  readonly change: Change | undefined;
  readonly isCurrent: boolean;
  readonly top: number;
  readonly onChoose: () => void;
}

function Row({ index, change, isCurrent, top, onChoose }: RowProps) {
  return (
    <div
      id={`change-${index}`}
      role="row"
      aria-rowindex={index + 1}
      aria-selected={isCurrent}
      class="change-row"
      style={{ transform: `translateY(${top}px)` }}
      onClick={onChoose}
    >
      {change === undefined ? (
        <span role="gridcell" class="quiet">
          …
        </span>
      ) : (
        <>
          <span
            role="gridcell"
            class={`change-state change-${change.state}`}
            title={change.state.replaceAll('-', ' ')}
          >
            <span aria-hidden="true">{STATE_SIGNS[change.state]}</span>
            <span class="sr">{change.state.replaceAll('-', ' ')}</span>
          </span>
          <span role="gridcell" class="change-kind">
            {change.kind}
          </span>
          <span role="gridcell" class="change-key">
            <span class="quiet">{change.resource}</span> {change.key}
          </span>
          <span role="gridcell" class="change-what">
            <What change={change} />
          </span>
        </>
      )}
    </div>
  );
}

/** `state: UNMANAGED → MANAGED`. */
function What({ change }: { readonly change: Change }) {
  const { before, after } = change;
  if (before === null) return <>new row</>;
  if (after === null) return <>row goes</>;
  return (
    <>
      {changedColumns(change).map(({ column, before: was, after: is }, at) => (
        <span key={column}>
          {at > 0 && '; '}
          <span class="quiet">{column}: </span>
          <del>{was}</del> <span aria-hidden="true">→</span> <ins>{is}</ins>
        </span>
      ))}
    </>
  );
}

/** All that is known of one change. */
function ChangeFacts({ run, change }: { readonly run: Run; readonly change: Change }) {
  const { lane, seq, resource, key, unit, kind, state, appliedAt, before, after, evidence, found, refusal } =
    change;
  const all = [...columnsOf(before), ...columnsOf(after), ...columnsOf(found)].map(([name]) => name);
  const differ = new Set(changedColumns(change).map(({ column }) => column));
  const columns = [...new Set(all)];
  const shown = columns.filter((column) => differ.has(column) || isFoundOther(change, column));
  const rest = columns.filter((column) => !shown.includes(column));
  return (
    <section class="request" aria-label="The chosen change">
      <h3 class="part-head">
        <span>
          {kind}: {resource} <code>{key}</code> for <code>{unit}</code>
        </span>
        <span>
          {STATE_SIGNS[state]} {state.replaceAll('-', ' ')}
          {appliedAt !== null && (
            <>
              {' '}
              at <Moment at={appliedAt} />
            </>
          )}
        </span>
      </h3>
      <Columns change={change} columns={shown} />
      {rest.length > 0 && (
        <details>
          <summary>{countOf(rest.length, 'unchanged column')}</summary>
          <Columns change={change} columns={rest} />
        </details>
      )}
      {refusal !== null && <p class="warn">The database refused it: {refusal}</p>}
      <h4>Evidence</h4>
      <dl class="facts facts-wide">
        {Object.entries(evidence).map(([name, value]) => (
          <Fragment key={name}>
            <dt>{name}</dt>
            <dd>{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
          </Fragment>
        ))}
      </dl>
      <p class="hint">
        Lane {lane}, place {number(seq)}. What flags say for{' '}
        <Link to={`/units?${new URLSearchParams({ q: unit }).toString()}`}>{unit}</Link>, and which runs
        changed it.
      </p>
      {state === 'applied' && run.trigger !== 'restore' && isOver(run) && (
        <p class="buttons">
          <RestoreButton run={run} part={{ key: `${resource}:${key}` }}>
            Restore this row…
          </RestoreButton>
          <RestoreButton run={run} part={{ unit }}>
            Restore all of {unit}…
          </RestoreButton>
        </p>
      )}
    </section>
  );
}

/** Whether the row that was met had another value than planned. */
const isFoundOther = ({ state, before, found }: Change, column: string): boolean =>
  state === 'conflict' && found?.[column] !== before?.[column];

function Columns({ change, columns }: { readonly change: Change; readonly columns: readonly string[] }) {
  const { state, before, after, found } = change;
  return (
    <table class="list values">
      <thead>
        <tr>
          <th scope="col">Column</th>
          <th scope="col">Before</th>
          <th scope="col">After</th>
          {state === 'conflict' && <th scope="col">Found instead</th>}
        </tr>
      </thead>
      <tbody>
        {columns.map((column) => (
          <tr key={column}>
            <th scope="row">{column}</th>
            <Value image={before} column={column} none="no row" />
            <Value image={after} column={column} none="row goes" unset={before} />
            {state === 'conflict' && <Value image={found} column={column} none="no row" />}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface ValueProps {
  readonly image: Image;
  readonly column: string;
  /** What stands where there is no row. */
  readonly none: string;
  /** Where a column that the image leaves out has its value. */
  readonly unset?: Image;
}

function Value({ image, column, none, unset = null }: ValueProps) {
  const value = image === null ? undefined : (image[column] ?? unset?.[column] ?? null);
  return (
    <td>
      {value === undefined ? (
        <span class="quiet">{none}</span>
      ) : value === null ? (
        <span class="quiet">null</span>
      ) : (
        String(value)
      )}
    </td>
  );
}
