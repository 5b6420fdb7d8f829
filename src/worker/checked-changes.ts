import { PortcullisError } from '../kernel/errors.js';
import { unstorableIn } from '../kernel/text.js';
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
): AsyncGenerator<Change> {
  for await (const change of changes) {
    const fault = faultOf(job, units, change);
    if (fault !== undefined) {
      throw new PortcullisError(
        'PLAN_INVALID',
        `${job.definition.name} ${job.version} proposed ${change.kind} of ${change.resource} ${change.key}: ${fault}`,
        { hint: 'correct the job; nothing was written' },
      );
    }
    yield change;
  }
}

function faultOf(job: LoadedJob, units: AdmittedUnits, change: Change): string | undefined {
  const shape = job.kinds.get(change.kind);
  if (!shape) return `kind ${change.kind} is not declared`;
  if (shape.name !== change.resource)
    return `kind ${change.kind} changes ${shape.name}, not ${change.resource}`;
  if (!units.has(change.unit)) return `unit ${change.unit} is not admitted`;
  if (change.key === '') return 'the key is empty';
  const unstorable = unstorableIn(change.key);
  if (unstorable !== undefined) return `the key ${unstorable}`;
  const { before, after } = change;
  if (shape.resource.deletes === true && after !== null) return `resource ${shape.name} only deletes rows`;
  if (before === null && after === null) return 'before and after are both null';
  if ((before === null || after === null) && !shape.whole)
    return `${before === null ? 'an insert' : 'a delete'} could not be restored: the resource’s changes are not the whole row`;
  return (
    (before && imageFault('before', before, names(shape.compared))) ??
    (after && imageFault('after', after, names(shape.changes))) ??
    (before && after && isSame(shape, before, after) ? 'it changes nothing' : undefined) ??
    requirementFault(job, change)
  );
}

function requirementFault(job: LoadedJob, change: Change): string | undefined {
  for (const { resource, key, image } of change.requires ?? []) {
    const shape = job.shapes.get(resource);
    if (!shape) return `it requires a row of ${resource}, which is not declared`;
    for (const value of [key, ...Object.values(image)]) {
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
