import { PortcullisError } from '../kernel/errors.js';
import { unstorableIn } from '../kernel/text.js';
import { insertFaults, keyTriggerFaults } from '../journal/declaration-faults.js';
import { GENERATED, keyText, type Key, type KeyedChange } from '../journal/change.js';
import type { Shape } from '../journal/shape.js';
import type { AdmittedUnits, Change, Image } from '../sdk/contract.js';
import type { LoadedJob } from './registry.js';

/**
 * Passes a job's changes on, each checked against what the job declared and what the flag admits. The first
 * that does not fit ends the plan with PLAN_INVALID: a job that is wrong about one row is not to be believed
 * about the others.
 */
export async function* checkedChanges(
  job: LoadedJob,
  units: AdmittedUnits,
  changes: AsyncIterable<Change>,
): AsyncGenerator<KeyedChange> {
  for await (const change of changes) {
    const fault = faultOf(job, units, change);
    if (fault !== undefined) {
      throw new PortcullisError(
        'PLAN_INVALID',
        `${job.definition.name} ${job.version} proposed ${change.kind} of ${change.resource} ${keyText(change.key)}: ${fault}`,
        { hint: 'correct the job; nothing was written' },
      );
    }
    const { key } = change;
    yield typeof key === 'string' && key !== 'generated'
      ? (change as KeyedChange)
      : { ...change, key: keyKept(job, change) };
  }
}

/** The key as the journal has it, of a change without fault. */
function keyKept(job: LoadedJob, { key, kind, before }: Change): string {
  const draws = job.kinds.get(kind)?.key.some((column) => column.draws !== undefined) === true;
  return key === 'generated' && before === null && draws ? GENERATED : keyText(key);
}

/** What is wrong with a key that names a row of a resource. */
function keyFault({ key, name }: Shape, given: Key): string | undefined {
  const parts = typeof given === 'string' ? [given] : given;
  if (parts.length !== key.length || (typeof given === 'string') !== (key.length === 1))
    return key.length === 1
      ? `the key of ${name} is one text${typeof given === 'number' ? ': String(…) of a number' : ''}`
      : `the key of ${name} is a list of ${key.length} values: ${key.map((column) => column.name).join(', ')}`;
  for (const part of parts) {
    if (part === '' && key.length === 1) return 'the key is empty';
    if ((part ?? null) === null) return 'the key has a null';
    if (typeof part === 'object')
      return "a value of the key is not a plain value: give it as PostgreSQL's text";
    const unstorable = typeof part === 'string' ? unstorableIn(part) : undefined;
    if (unstorable !== undefined) return `the key ${unstorable}`;
  }
  return undefined;
}

/** What is wrong with the key of a row that is inserted. */
function insertedKeyFault({ key: [column, ...more], facts }: Shape, given: Key): string | undefined {
  const { sequence, draws } = facts.columns.find(({ name }) => name === column.name) ?? {};
  if (given === 'generated')
    return draws != null && more.length === 0
      ? undefined
      : more.length === 0 && /text|varchar|bpchar|citext|name/.test(column.cast)
        ? undefined
        : `column ${column.name} has no default that generates a key`;
  if (more.length > 0 || sequence == null) return undefined;
  return `column ${column.name} takes its values from sequence ${sequence}, which an explicit key would not advance; give key: 'generated'`;
}

function faultOf(job: LoadedJob, units: AdmittedUnits, change: Change): string | undefined {
  const shape = job.kinds.get(change.kind);
  if (!shape) return `kind ${change.kind} is not declared`;
  if (shape.name !== change.resource)
    return `kind ${change.kind} changes ${shape.name}, not ${change.resource}`;
  if (!units.has(change.unit)) return `unit ${change.unit} is not admitted`;
  const { before, after, key } = change;
  const wrong = keyFault(shape, key) ?? (before === null ? insertedKeyFault(shape, key) : undefined);
  if (wrong !== undefined) return wrong;
  if (before === null && key === 'generated' && shape.resource.uniqueAcross !== undefined)
    return `a row of ${shape.name} that is unique across regions is reserved before it is written: give its key`;
  if (shape.resource.deletes === true && after !== null) return `resource ${shape.name} only deletes rows`;
  if (before === null && after === null) return 'before and after are both null';
  if (before === null || after === null) {
    const why = unrestorable(shape)[before === null ? 'insert' : 'delete'];
    if (why.length > 0)
      return `${before === null ? 'an insert' : 'a delete'} could not be restored: ${why.join('; ')}`;
  }
  return (
    (before && imageFault('before', before, names(shape.compared))) ??
    (after && imageFault('after', after, names(shape.changes))) ??
    (before && after && isSame(shape, before, after) ? 'it changes nothing' : undefined) ??
    requirementFault(job, change)
  );
}

type Unrestorable = Readonly<Record<'insert' | 'delete', readonly string[]>>;
const unrestorableOf = new WeakMap<Shape, Unrestorable>();

/** Why rows of a resource cannot be made, or deleted, and restored exactly. */
function unrestorable(shape: Shape): Unrestorable {
  const known = unrestorableOf.get(shape);
  if (known) return known;
  const { resource, facts, others, faults } = shape;
  const parts =
    others.length === 0
      ? []
      : [
          `the resource’s changes are not the whole row: ${others.map(({ name }) => name).join(', ')} not declared`,
        ];
  const made = {
    insert: [...parts, ...insertFaults(resource, facts)],
    delete: [...parts, ...keyTriggerFaults(resource, facts), ...faults],
  };
  unrestorableOf.set(shape, made);
  return made;
}

function requirementFault(job: LoadedJob, change: Change): string | undefined {
  for (const { resource, key, image } of change.requires ?? []) {
    const shape = job.shapes.get(resource);
    if (!shape) return `it requires a row of ${resource}, which is not declared`;
    const wrong = keyFault(shape, key);
    if (wrong !== undefined) return `what it requires of ${resource}: ${wrong}`;
    for (const value of Object.values(image)) {
      const unstorable = typeof value === 'string' ? unstorableIn(value) : undefined;
      if (unstorable !== undefined) return `what it requires of ${resource} ${unstorable}`;
    }
    const known = names(shape.compared);
    const surplus = Object.keys(image).find((column) => !known.includes(column));
    if (surplus !== undefined) return `it requires column ${surplus} of ${resource}, which is not declared`;
  }
  return undefined;
}

const namesOf = new WeakMap<Shape['changes'], readonly string[]>();

function names(columns: Shape['changes']): readonly string[] {
  const known = namesOf.get(columns) ?? columns.map((column) => column.name);
  namesOf.set(columns, known);
  return known;
}

function imageFault(which: string, image: Image, wanted: readonly string[]): string | undefined {
  for (const column of wanted) {
    const value = image[column];
    if (value === undefined) return `${which} lacks column ${column}`;
    if (typeof value === 'number' && !Number.isSafeInteger(value))
      return `${which}.${column} is not a whole number: give it as text`;
    const unstorable = typeof value === 'string' ? unstorableIn(value) : undefined;
    if (unstorable !== undefined) return `${which}.${column} ${unstorable}`;
    if (value !== null && typeof value === 'object')
      return `${which}.${column} is not a plain value: give it as PostgreSQL's text`;
  }
  const surplus =
    Object.keys(image).length > wanted.length &&
    Object.keys(image).find((column) => !wanted.includes(column));
  return surplus ? `${which} has column ${surplus}, which is not declared` : undefined;
}

function isSame(shape: Shape, before: Image, after: Image): boolean {
  return shape.changes.every(({ name }) => before[name] === after[name]);
}
