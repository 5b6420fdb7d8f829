import { type Document, LineCounter, isMap, isNode, isScalar } from 'yaml';
import type { z } from 'zod';
import { nearest } from '../kernel/nearest.js';
import { shorten } from '../kernel/text.js';

/** One thing that is wrong with a policy file. */
export interface PolicyFault {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  /** Such as `guard.caps[0].perRun`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  /** What was probably meant, for an unknown key or word. */
  readonly nearest?: string;
}

type Path = readonly PropertyKey[];

/** What zod says of a value where our schema has no words of its own. */
export function faultText(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type') {
    if (issue.input === undefined) return 'is missing';
    return `must be ${article(issue.expected)}, not ${shown(issue.input)}`;
  }
  if (issue.code === 'invalid_value') {
    if (issue.input === undefined) return 'is missing';
    return `must be one of ${issue.values.map(String).join(', ')}, not ${shown(issue.input)}`;
  }
  // A value that is of none of the forms that it may have.
  if (issue.code === 'invalid_union' && issue.discriminator === undefined) {
    if (issue.input === undefined) return 'is missing';
    const forms = issue.errors.flatMap((form) => form.filter(ofAnotherForm).flatMap(expected));
    return `must be ${forms.map(article).join(' or ')}, not ${shown(issue.input)}`;
  }
  // A word that names none of a union's kinds.
  if (issue.code === 'invalid_union' && issue.discriminator !== undefined) {
    const kind = (issue.input as Record<string, unknown> | undefined)?.[issue.discriminator];
    if (kind === undefined) return 'is missing';
    return `must be one of ${optionsOf(issue.inst).join(', ')}, not ${shown(kind)}`;
  }
  if (issue.code === 'invalid_key') return issue.issues[0]?.message;
  if (issue.code === 'too_small') return `must be at least ${sized(issue.minimum, issue.origin)}`;
  if (issue.code === 'too_big') return `must be at most ${sized(issue.maximum, issue.origin)}`;
  return undefined;
}

function sized(limit: number | bigint, origin: string): string {
  return origin === 'array' ? `${limit} long` : String(limit);
}

function article(expected: string): string {
  const words: Record<string, string> = {
    int: 'a whole number',
    object: 'a map of keys',
    record: 'a map of keys',
    array: 'a list',
  };
  return words[expected] ?? `a ${expected}`;
}

function shown(value: unknown): string {
  const text = value === null ? 'empty' : JSON.stringify(value);
  return shorten(text, 60);
}

/**
 * What is wrong with a value that may be of several forms, such as a list or a map: the faults of the form that
 * was begun, and not those of the others too.
 */
export function meantIssues(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union' || !issue.errors.some((form) => form.some(ofAnotherForm)))
    return [issue];
  const begun = issue.errors.find((form) => !form.some(ofAnotherForm));
  return begun?.map((each) => ({ ...each, path: [...issue.path, ...each.path] })) ?? [issue];
}

/** Whether the value as a whole is of another type than this form of it. */
function ofAnotherForm({ code, path }: z.core.$ZodIssue): boolean {
  return code === 'invalid_type' && path.length === 0;
}

function expected(issue: z.core.$ZodIssue): string[] {
  return issue.code === 'invalid_type' ? [issue.expected] : [];
}

/** Turns zod's issues into faults with the line each stands on. An unknown key is a fault of its own. */
export function faultsOf(
  issues: readonly z.core.$ZodIssue[],
  schema: z.ZodType,
  file: string,
  document: Document,
  lines: LineCounter,
): PolicyFault[] {
  return issues.flatMap(meantIssues).flatMap((issue): PolicyFault[] => {
    if (issue.code !== 'unrecognized_keys') {
      const meant = nearest(String(document.getIn(issue.path)), wordsOf(schema, issue, document));
      return [
        {
          file,
          line: lineOf(document, lines, issue.path),
          path: shownPath(issue.path),
          message: meant === undefined ? issue.message : `${issue.message}; did you mean ${meant}?`,
          ...(meant !== undefined && { nearest: meant }),
        },
      ];
    }
    const known = knownKeys(schema, issue.path, document);
    return issue.keys.map((key) => {
      const meant = nearest(key, known);
      return {
        file,
        line: lineOf(document, lines, [...issue.path, key]),
        path: shownPath([...issue.path, key]),
        message:
          meant === undefined
            ? `is not a known key; there are ${known.join(', ')}`
            : `is not a known key; did you mean ${meant}?`,
        ...(meant !== undefined && { nearest: meant }),
      };
    });
  });
}

/** The line of the key that a path ends in or, where there is none, of the nearest thing above it. */
export function lineOf(document: Document, lines: LineCounter, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const parent = document.getIn(path.slice(0, length - 1), true);
    const last = path[length - 1];
    const pair = isMap(parent)
      ? parent.items.find(({ key }) => (isScalar(key) ? key.value : key) === last)
      : undefined;
    const node = isNode(pair?.key) ? pair.key : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  const contents = document.contents;
  return isNode(contents) && contents.range ? lines.linePos(contents.range[0]).line : 1;
}

/** A path as it is written: `guard.caps[0].perRun`. */
export function shownPath(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '');
}

/** The words that would have been right where one was wrong. */
function wordsOf(schema: z.ZodType, issue: z.core.$ZodIssue, document: Document): string[] {
  if (issue.code === 'invalid_value') return issue.values.map(String);
  if (issue.code !== 'invalid_union') return [];
  return optionsOf(schemaAt(schema, issue.path.slice(0, -1), document));
}

/** The keys that the schema knows at a path. */
function knownKeys(schema: z.ZodType, path: Path, document: Document): string[] {
  const at = schemaAt(schema, path, document);
  const object = at && isUnion(at) ? optionOf(at, path, document) : at;
  return object?._zod.def.type === 'object' ? Object.keys((object as z.core.$ZodObject)._zod.def.shape) : [];
}

/** The schema of what stands at a path; through a union, that of the kind which stands there. */
function schemaAt(schema: z.core.$ZodType, path: Path, document: Document): z.core.$ZodType | undefined {
  let at = unwrapped(schema);
  for (const [depth, step] of path.entries()) {
    if (at && isUnion(at)) at = optionOf(at, path.slice(0, depth), document);
    if (at?._zod.def.type === 'union') at = formOf(at as z.core.$ZodUnion, path.slice(0, depth), document);
    if (at?._zod.def.type === 'record') at = unwrapped((at as z.core.$ZodRecord)._zod.def.valueType);
    else if (at?._zod.def.type === 'array') at = unwrapped((at as z.core.$ZodArray)._zod.def.element);
    else at = unwrapped((at as z.core.$ZodObject | undefined)?._zod.def.shape[String(step)]);
  }
  return at;
}

function isUnion(schema: z.core.$ZodType): schema is z.core.$ZodDiscriminatedUnion {
  return schema._zod.def.type === 'union' && 'discriminator' in schema._zod.def;
}

/** What a discriminated union tells its kinds apart by. */
function optionsOf(schema: unknown): string[] {
  const union = schema as z.core.$ZodType | undefined;
  if (!union || !isUnion(union)) return [];
  const { discriminator } = union._zod.def;
  return [...(union._zod.propValues[discriminator] ?? [])].map(String);
}

function optionOf(
  union: z.core.$ZodDiscriminatedUnion,
  path: Path,
  document: Document,
): z.core.$ZodType | undefined {
  const { discriminator, options } = union._zod.def;
  const kind = document.getIn([...path, discriminator]);
  return options.find(({ _zod }) => _zod.propValues?.[discriminator]?.has(kind as z.core.util.Primitive));
}

/** Of a value that is a list or a map, the form which stands there. */
function formOf(union: z.core.$ZodUnion, path: Path, document: Document): z.core.$ZodType | undefined {
  const wanted = isMap(document.getIn(path, true)) ? 'record' : 'array';
  return union._zod.def.options.map(unwrapped).find((option) => option?._zod.def.type === wanted);
}

function unwrapped(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  let at = schema;
  while (at !== undefined && 'innerType' in at._zod.def) at = at._zod.def.innerType as z.core.$ZodType;
  return at;
}
