import type { TableFacts, TriggerEvent, TriggerFacts } from './catalogue.js';
import type { Operation } from './change.js';

/** What triggers may do to a row that an operation writes. */
export interface Effects {
  /** Whether one may alter the row before it is stored: what is stored is what `returning` says. */
  readonly before: boolean;
  /** Whether one may alter it afterwards: what is stored is known from a second read. */
  readonly after: boolean;
  /** Whether one may wait for the commit. */
  readonly deferred: boolean;
}

/** What the triggers of a table may do to rows whose columns `changes` are set. */
export function effectsOf(
  facts: TableFacts,
  changes: readonly string[],
): Readonly<Record<Operation, Effects>> {
  const of = (operation: Operation): Effects => {
    const firing = firingTriggers(facts, changes, operation);
    return {
      before: firing.some(({ before, forEachRow }) => before && forEachRow),
      // One of a statement sees no row, but may change the table's.
      after: firing.some(({ before, forEachRow }) => !before || !forEachRow),
      deferred: firing.some(({ deferred }) => deferred),
    };
  };
  return { insert: of('insert'), update: of('update'), delete: of('delete') };
}

/** The triggers that fire when an operation sets these columns of a row. */
export function firingTriggers(
  { columns, triggers }: TableFacts,
  changes: readonly string[],
  operation: Operation,
): readonly TriggerFacts[] {
  // A row that moves to another partition is deleted there and inserted here.
  const moves =
    operation === 'update' && columns.some(({ name, places }) => places && changes.includes(name));
  const events: readonly TriggerEvent[] = moves ? ['update', 'insert', 'delete'] : [operation];
  return triggers.filter(({ events: on, of }) =>
    events.some(
      (event) =>
        on.includes(event) &&
        (event !== 'update' || of.length === 0 || of.some((column) => changes.includes(column))),
    ),
  );
}

/** A trigger that fires on what a run or a restore does to the rows of a resource. */
export interface FiringTrigger {
  readonly resource: string;
  readonly table: string;
  readonly trigger: string;
  readonly when: 'before' | 'after' | 'at the commit';
  readonly on: readonly Operation[];
  /** The columns that its function sets, as far as its text tells; null where it cannot be told. */
  readonly sets: readonly string[] | null;
}

/** The triggers that fire on these operations, each once a resource. */
export function triggersOf(
  steps: Iterable<{ readonly shape: FiredOn; readonly operation: Operation }>,
): FiringTrigger[] {
  const found = new Map<string, FiringTrigger>();
  const add = (shape: FiredOn, table: string, on: Operation, trigger: TriggerFacts): void => {
    const { name, before, deferred, sets } = trigger;
    const at = JSON.stringify([shape.name, table, name]);
    const known = found.get(at)?.on ?? [];
    found.set(at, {
      ...{ resource: shape.name, table, trigger: name },
      when: before ? 'before' : deferred ? 'at the commit' : 'after',
      on: known.includes(on) ? known : [...known, on],
      sets,
    });
  };
  for (const { shape, operation } of steps) {
    const changes = shape.changes.map(({ name }) => name);
    for (const trigger of firingTriggers(shape.facts, changes, operation))
      add(shape, shape.resource.table, operation, trigger);
    if (operation === 'update') continue;
    for (const { table, action, triggers } of shape.branches) {
      const on = action === 'cascade' ? operation : 'update';
      for (const trigger of triggers) if (trigger.events.includes(on)) add(shape, table, on, trigger);
    }
  }
  return [...found.values()];
}

/** What of a shape it takes to tell. */
interface FiredOn {
  readonly name: string;
  readonly resource: { readonly table: string };
  readonly changes: readonly { readonly name: string }[];
  readonly facts: TableFacts;
  /** What goes with its rows. */
  readonly branches: readonly {
    readonly table: string;
    readonly action: string;
    readonly triggers: readonly TriggerFacts[];
  }[];
}
