import type { PolicyDocument } from './policy-document.js';
import { regionDatabases, regionNames } from './policy-places.js';
import { regionsDocument } from './policy-regions.js';
import type { PolicyFile } from './policy.js';

/** One field that applying a policy would change, in the words of the file. */
export interface FieldChange {
  /** Such as `apply.batch` or `guard.caps.claim.perRun`. */
  readonly path: string;
  /** Absent where the field is new. */
  readonly before?: unknown;
  /** Absent where the field goes. */
  readonly after?: unknown;
}

/** What applying a policy file would do. */
export interface PolicyDiff {
  readonly job: string;
  readonly file: string;
  readonly change: 'new' | 'changed' | 'same';
  readonly fields: readonly FieldChange[];
  /** Flags that would be created, off; and flags of regions no longer in the policy, switched off. */
  readonly flags: readonly { readonly region: string; readonly change: 'create' | 'close' }[];
}

/** Whether applying would change nothing at all. */
export function isSame(diff: PolicyDiff): boolean {
  return diff.change === 'same' && diff.flags.length === 0;
}

/** What is there of a job before its policy is applied. */
export interface AppliedBefore {
  /** As stored; undefined where the job has no policy. */
  readonly document: unknown;
  readonly flags: readonly { readonly region: string; readonly enabled: boolean }[];
}

/** Compares a policy file with what is in force. Pure. */
export function diffPolicy({ file, document, policy }: PolicyFile, before: AppliedBefore): PolicyDiff {
  const fields = changedFields(before.document, document);
  const known = new Set(before.flags.map(({ region }) => region));
  const wanted = new Set(policy.regions);
  return {
    job: policy.job,
    file,
    change: before.document === undefined ? 'new' : fields.length > 0 ? 'changed' : 'same',
    fields,
    flags: [
      ...policy.regions
        .filter((region) => !known.has(region))
        .map((region) => ({ region, change: 'create' as const })),
      ...before.flags
        .filter(({ region, enabled }) => enabled && !wanted.has(region))
        .map(({ region }) => ({ region, change: 'close' as const })),
    ],
  };
}

function changedFields(before: unknown, after: PolicyDocument): FieldChange[] {
  const then = leaves(placed(before));
  const now = leaves(placed(after));
  return [...new Set([...then.keys(), ...now.keys()])].flatMap((path): FieldChange[] => {
    const change: FieldChange = {
      path,
      ...(then.has(path) && { before: then.get(path) }),
      ...(now.has(path) && { after: now.get(path) }),
    };
    return JSON.stringify(change.before) === JSON.stringify(change.after) ? [] : [change];
  });
}

/** A map of regions as the list that it stands for, so that one form of it is compared with the other. */
function placed(document: unknown): unknown {
  const fields = document as { readonly regions?: unknown } | undefined;
  const regions = regionsDocument.safeParse(fields?.regions);
  if (!regions.success) return document;
  const databases = Object.entries(regionDatabases(regions.data));
  return {
    ...fields,
    regions: regionNames(regions.data),
    ...Object.fromEntries(databases.map(([region, database]) => [`regions.${region}.database`, database])),
  };
}

/** The fields of a document by path. Rules go by their name, caps by their kind; any other list is one field. */
function leaves(value: unknown, path = ''): Map<string, unknown> {
  const under = (key: string, inner: unknown): [string, unknown][] => [
    ...leaves(inner, path === '' ? key : `${path}.${key}`),
  ];
  if (Array.isArray(value) && value.length > 0) {
    if (value.every(hasName)) return new Map(value.flatMap(({ name, ...rule }) => under(name, rule)));
    if (value.every(hasKind)) return new Map(value.flatMap(({ kind, ...cap }) => under(kind, cap)));
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return new Map(Object.entries(value).flatMap(([key, inner]) => under(key, inner)));
  }
  return new Map(value === undefined ? [] : [[path, value]]);
}

function hasName(value: unknown): value is { name: string } {
  return typeof (value as { name?: unknown } | null)?.name === 'string';
}

function hasKind(value: unknown): value is { kind: string } {
  return typeof (value as { kind?: unknown } | null)?.kind === 'string';
}
