import { type Document, LineCounter, isMap, isNode, isScalar } from 'yaml';
import type { z } from 'zod';
import { nearest } from '../base/nearest.js';

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
  if (issue.code === 'too_small') return `must be at least ${sized(issue.minimum, issue.origin)}`;
  if (issue.code === 'too_big') return `must be at most ${sized(issue.maximum, issue.origin)}`;
  return undefined;
}

function sized(limit: number | bigint, origin: string): string {
  return origin === 'array' ? `${limit} long` : String(limit);
}

function article(expected: string): string {
  const words: Record<string, string> = { int: 'a whole number', object: 'a map of keys', array: 'a list' };
  return words[expected] ?? `a ${expected}`;
}

function shown(value: unknown): string {
  const text = value === null ? 'empty' : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** Turns zod's issues into faults with the line each stands on. An unknown key is a fault of its own. */
export function faultsOf(
  issues: readonly z.core.$ZodIssue[],
  schema: z.ZodType,
  file: string,
  document: Document,
  lines: LineCounter,
): PolicyFault[] {
  return issues.flatMap((issue): PolicyFault[] => {
    if (issue.code !== 'unrecognized_keys') {
      const meant =
        issue.code === 'invalid_value'
          ? nearest(String(document.getIn(issue.path)), issue.values.map(String))
          : undefined;
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
    const known = knownKeys(schema, issue.path);
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

function shownPath(path: Path): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '');
}

/** The keys that the schema knows at a path. */
function knownKeys(schema: z.ZodType, path: Path): string[] {
  let at: z.core.$ZodType | undefined = schema;
  for (const step of path) {
    const inner = unwrapped(at);
    if (inner?._zod.def.type === 'array') at = (inner as z.core.$ZodArray)._zod.def.element;
    else at = (inner as z.core.$ZodObject | undefined)?._zod.def.shape[String(step)];
  }
  const object = unwrapped(at);
  return object?._zod.def.type === 'object' ? Object.keys((object as z.core.$ZodObject)._zod.def.shape) : [];
}

function unwrapped(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  let at = schema;
  while (at !== undefined && 'innerType' in at._zod.def) at = at._zod.def.innerType as z.core.$ZodType;
  return at;
}
