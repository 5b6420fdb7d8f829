import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { GATE_STATES, STATE_WORDS } from '../parts/state.js';
import { countOf } from '../../kernel/words.js';
import { GateCell } from './gate-cell.js';
import type { Place } from './overview.js';
import { between, CELL, columnsIn, grouped, laidOut, moved, scaleIn } from './rows.js';
import type { Group, Grouping, Row } from './rows.js';

interface GridProps {
  readonly places: readonly Place[];
  /** With those that are filtered out: what is searched for changes no cell's size. */
  readonly all: readonly Place[];
  readonly by: Grouping;
  readonly readMs: number;
}

/** So much beyond the window is drawn, so that scrolling shows no holes. */
const BEYOND_PX = 400;

const KEYS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'PageUp', 'PageDown', 'Home', 'End'];

/** Any number of gates: only what is seen is drawn. One of them takes part in the order of Tab; arrows lead to the others. */
export function GateGrid({ places, all, by, readMs }: GridProps) {
  const element = useRef<HTMLDivElement>(null);
  const seen = useSignal({ width: 0, height: 0, rem: 16, from: 0, to: 2_000 });
  const current = useSignal(0);
  const toFocus = useRef(false);
  useLayoutEffect(() => {
    const look = (): void => {
      const box = element.current;
      if (box === null) return;
      const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
      const width = box.clientWidth / rem;
      const { top } = box.getBoundingClientRect();
      const height = (innerHeight - top - scrollY) / rem;
      const from = -top - BEYOND_PX;
      const to = from + innerHeight + 2 * BEYOND_PX;
      const now = seen.peek();
      // What is drawn beyond the window allows for a little scrolling.
      const near = Math.abs(now.from - from) < BEYOND_PX / 3 && Math.abs(now.to - to) < BEYOND_PX / 3;
      if (near && now.width === width && now.height === height && now.rem === rem) return;
      seen.value = { width, height, rem, from, to };
    };
    look();
    const observer = new ResizeObserver(look);
    if (element.current !== null) observer.observe(element.current);
    // What stands above it may grow, such as by an incident.
    observer.observe(document.body);
    addEventListener('scroll', look, { passive: true });
    addEventListener('resize', look);
    return () => {
      observer.disconnect();
      removeEventListener('scroll', look);
      removeEventListener('resize', look);
    };
  }, [seen]);
  const { rem, from, to } = seen.value;
  const groups = useMemo(() => grouped(places, by, GATE_STATES), [places, by]);
  const allGroups = useMemo(() => grouped(all, by, GATE_STATES), [all, by]);
  const scale = scaleIn(allGroups, seen.value.width, seen.value.height);
  const columns = columnsIn(seen.value.width, scale);
  const { rows, height } = useMemo(() => {
    const gatesHeight = (CELL.height * scale + CELL.gap) * rem;
    return laidOut(groups, { columns, groupHeight: CELL.group * rem, gatesHeight });
  }, [groups, columns, scale, rem]);
  const at = Math.min(current.value, Math.max(0, places.length - 1));
  const shown = rowsShown(rows, from, to, at);
  useEffect(() => {
    if (!toFocus.current) return;
    toFocus.current = false;
    element.current?.querySelector<HTMLElement>('[tabindex="0"]')?.focus({ preventScroll: false });
  });
  const onKeyDown = (event: KeyboardEvent): void => {
    if (!KEYS.includes(event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    toFocus.current = true;
    const next = moved(rows, at, event.key);
    if (next !== at) current.value = next;
    else toFocus.current = false;
  };
  return (
    <div
      ref={element}
      class="grid"
      role="grid"
      aria-label="Gates"
      aria-rowcount={rows.length}
      style={{ height: `${height}px`, '--scale': String(scale) }}
      onKeyDown={onKeyDown}
    >
      {shown.map(({ row, index }) => (
        <div
          key={index}
          role="row"
          aria-rowindex={index + 1}
          class={row.kind === 'group' ? 'grid-group' : 'grid-gates'}
          style={{ transform: `translateY(${row.top}px)`, '--columns': String(columns) }}
        >
          {row.kind === 'group' ? (
            <GroupHead group={row.group} by={by} />
          ) : (
            <Gates
              row={row}
              by={by}
              readMs={readMs}
              current={at - row.first}
              onFocus={(column) => (current.value = row.first + column)}
            />
          )}
        </div>
      ))}
    </div>
  );
}

interface GatesProps {
  readonly row: Extract<Row, { readonly kind: 'gates' }>;
  readonly by: Grouping;
  readonly readMs: number;
  /** The column of the current gate, where it is in this row. */
  readonly current: number;
  readonly onFocus: (column: number) => void;
}

/** A row's gates, compared again only where one of them changed: scrolling leaves those that stay alone. */
function Gates({ row, by, readMs, current, onFocus }: GatesProps) {
  const own = row.places[current] === undefined ? -1 : current;
  return useMemo(
    () => (
      <>
        {row.places.map((place, column) => (
          <GateCell
            key={`${place.job.job} ${place.gate.region}`}
            place={place}
            by={by}
            readMs={readMs}
            tabIndex={column === own ? 0 : -1}
            onFocus={() => onFocus(column)}
          />
        ))}
      </>
    ),
    [row, by, readMs, own],
  );
}

/** The rows in the window, and the one with the current gate, which must not lose the focus. */
function rowsShown(
  rows: readonly Row[],
  from: number,
  to: number,
  at: number,
): { row: Row; index: number }[] {
  const { first, last } = between(rows, from, to);
  const indices = Array.from({ length: last - first }, (_, each) => first + each);
  const current = rows.findIndex(
    (row) => row.kind === 'gates' && at >= row.first && at < row.first + row.places.length,
  );
  if (current >= 0 && (current < first || current >= last)) {
    if (current < first) indices.unshift(current);
    else indices.push(current);
  }
  return indices.flatMap((index) => {
    const row = rows[index];
    return row === undefined ? [] : [{ row, index }];
  });
}

function GroupHead({ group, by }: { readonly group: Group; readonly by: Grouping }) {
  const [first] = group.places;
  const name = by === 'state' ? STATE_WORDS[group.name as keyof typeof STATE_WORDS] : group.name;
  const job = by === 'job' ? first?.job : undefined;
  const counts = GATE_STATES.flatMap((state) => {
    const n = group.places.filter(({ gate }) => gate.state === state).length;
    return n === 0 ? [] : [`${n.toLocaleString('en')} ${STATE_WORDS[state].toLowerCase()}`];
  });
  return (
    <div role="rowheader" class="group-head">
      <span class="group-name">{name}</span>
      <span class="group-facts">
        {by === 'state' ? countOf(group.places.length, 'gate') : counts.join(', ')}
        {job?.version != null && (
          <>
            {' · '}
            <code>{job.version}</code> installed
          </>
        )}
        {job?.schedule != null && (
          <>
            {' · '}
            <code>{job.schedule}</code> UTC
          </>
        )}
      </span>
    </div>
  );
}
