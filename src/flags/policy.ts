import { readFile, readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { type Document, LineCounter, parseDocument, visit } from 'yaml';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { regionDatabases, regionNames } from './policy-places.js';
import { displacedRegions } from './policy-regions.js';
import type { UnitLabel } from '../kernel/words.js';
import { nearest } from '../kernel/nearest.js';
import { type PolicyDocument, policyDocument } from './policy-document.js';
import { faultsOf, faultText, lineOf, meantIssues, type PolicyFault, shownPath } from './policy-faults.js';
import { type GuardPolicy, kindsNamed, typedGuard } from './guard-policy.js';
import { milliseconds } from './policy-values.js';
import { type RolloutPolicy, typedRollout } from './rollout-policy.js';

/** What git says about a job: when and where it runs, how fast a silence closes it, and what caps it. */
export interface Policy {
  readonly job: string;
  /** What people are told the job's units are. */
  readonly unit: UnitLabel;
  /** A cron expression, in UTC. */
  readonly schedule: string;
  /** What becomes of slots that were missed: nothing, or one run to catch up. */
  readonly missedSlots: 'skip' | 'once';
  /** The same for slots that were missed while the gate was killed. */
  readonly onRearm: 'skip' | 'once';
  readonly regions: readonly string[];
  /** The variables that hold the addresses of databases, by region; a region without one is beside the control plane. */
  readonly databases?: Readonly<Record<string, string>>;
  /** A flag last heard of longer ago than this counts as closed. */
  readonly flag: { readonly maxAgeMs: number };
  /** A region's gate closes by itself when not renewed for so long. */
  readonly permitMs: number;
  /** A run whose worker is silent for so long is taken over. */
  readonly leaseMs: number;
  /** A run that is taken over with a plan older than this is planned again. */
  readonly planMaxAgeMs: number;
  readonly apply: {
    readonly lanes: number;
    /** Changes in one transaction. */
    readonly batch: number;
    /** Changes in each of the run's first transactions, which go through one lane. */
    readonly firstBatches: readonly number[];
  };
  readonly guard: GuardPolicy;
  /** Absent: no version can be rolled out. */
  readonly rollout?: RolloutPolicy;
}

/** A policy file that has been read and found without fault. */
export interface PolicyFile {
  readonly file: string;
  /** The file as it is written. */
  readonly text: string;
  /** The file's content with every default filled in, durations and percentages still text. */
  readonly document: PolicyDocument;
  readonly policy: Policy;
}

/** The kinds of change of each job that is known. */
export type KindsOf = ReadonlyMap<string, readonly string[]>;

/** Reads a policy from YAML. Throws POLICY_INVALID with all the faults of the file at once. */
export function parsePolicy(text: string, fileName: string): Policy {
  return parsePolicyFile(text, fileName).policy;
}

/** As {@link parsePolicy}, and keeps the text and the document beside the policy. */
export function parsePolicyFile(text: string, fileName: string): PolicyFile {
  const read = examine(text, fileName);
  if ('faults' in read) throw policyInvalid(read.faults);
  return read;
}

/**
 * Reads every `.yaml` and `.yml` file of a folder, in the order of their names. Throws POLICY_INVALID with all
 * the faults of all the files at once, FILE_UNREADABLE where the folder or a file cannot be read: also for a pipe or a
 * device, which might never end, a file that is far too large, and a link out of the folder. Where a job's kinds of
 * change are known, a policy that names another is at fault.
 */
export async function readPolicies(folder: string, kindsOf: KindsOf = new Map()): Promise<PolicyFile[]> {
  return parsePolicies(await readPolicyTexts(folder), kindsOf);
}

/** The files themselves, whatever is in them. Throws FILE_UNREADABLE as {@link readPolicies} does. */
export async function readPolicyTexts(folder: string): Promise<{ file: string; text: string }[]> {
  const reading = async <T>(path: string, read: Promise<T>): Promise<T> =>
    read.catch((error: unknown) => {
      throw new PortcullisError('FILE_UNREADABLE', `${path}: ${messageOf(error)}`, {
        hint: 'name a folder with the policy files of your jobs, such as flags/',
        cause: error,
      });
    });
  const names = (await reading(folder, readdir(folder))).filter((file) => /\.ya?ml$/.test(file)).sort();
  return Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      return { file: path, text: await reading(path, readRegular(folder, path)) };
    }),
  );
}

/** The policies of these files. Throws POLICY_INVALID as {@link readPolicies} does. */
export function parsePolicies(
  texts: readonly { readonly file: string; readonly text: string }[],
  kindsOf: KindsOf = new Map(),
): PolicyFile[] {
  const read = texts.map(({ file, text }) => examine(text, file, kindsOf));
  const faults = read.flatMap((each) => ('faults' in each ? each.faults : []));
  const files = read.flatMap((each) => ('faults' in each ? [] : [each]));
  const all = [...faults, ...jobsTwice(files), ...regionsTwice(files)];
  if (all.length > 0) throw policyInvalid(all);
  return files;
}

const LARGEST_BYTES = 1_048_576;

/** Reads a file of the folder. A link is followed inside of it alone, as Kubernetes mounts files. */
async function readRegular(folder: string, path: string): Promise<string> {
  const real = await realpath(path);
  const within = await realpath(folder);
  if (!`${dirname(real)}${sep}`.startsWith(within.endsWith(sep) ? within : `${within}${sep}`))
    throw new Error('it is a link out of the folder');
  const found = await stat(real);
  if (!found.isFile()) throw new Error('it is not a regular file');
  if (found.size > LARGEST_BYTES)
    throw new Error(`it has ${found.size} bytes; a policy has at most ${LARGEST_BYTES}`);
  return readFile(real, 'utf8');
}

/** The typed policy of a stored document. Answers what is wrong with it instead of throwing. */
export function policyOfDocument(stored: unknown): { policy: Policy } | { reason: string } {
  const parsed = policyDocument.safeParse(stored, { error: faultText });
  if (parsed.success) return { policy: typed(parsed.data) };
  return {
    reason: parsed.error.issues
      .flatMap(meantIssues)
      .map(({ path, message }) => `${path.join('.')} ${message}`.trim())
      .join('; '),
  };
}

function examine(
  text: string,
  file: string,
  kindsOf: KindsOf = new Map(),
): PolicyFile | { faults: PolicyFault[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const broken = yamlFaults(document);
  if (broken.length > 0) {
    return {
      faults: broken.map(({ at, message }) => ({
        file,
        line: lines.linePos(at).line,
        path: '',
        message: `is not YAML: ${message}`,
      })),
    };
  }
  let content: unknown;
  try {
    content = document.toJS();
  } catch (error) {
    // What is left is a document that its aliases blow up beyond measure.
    return { faults: [{ file, line: 1, path: '', message: `is not YAML: ${messageOf(error)}` }] };
  }
  const parsed = policyDocument.safeParse(content, { error: faultText });
  if (!parsed.success) {
    const faults = faultsOf(parsed.error.issues, policyDocument, file, document, lines);
    return { faults: faults.sort((one, other) => one.line - other.line) };
  }
  const policy = typed(parsed.data);
  const strange = strangeKinds(policy, kindsOf).map(({ path, ...fault }) => ({
    file,
    line: lineOf(document, lines, path),
    path: shownPath(path),
    ...fault,
  }));
  return strange.length > 0 ? { faults: strange } : { file, text, document: parsed.data, policy };
}

function strangeKinds(
  { job, guard }: Policy,
  kindsOf: KindsOf,
): { path: readonly PropertyKey[]; message: string; nearest?: string }[] {
  const known = kindsOf.get(job);
  if (!known) return [];
  return kindsNamed(guard)
    .filter(({ kind }) => !known.includes(kind))
    .map(({ kind, path }) => {
      const meant = nearest(kind, known);
      return {
        path,
        message: `is not a kind of change of ${job}; ${meant === undefined ? `there are ${known.join(', ')}` : `did you mean ${meant}?`}`,
        ...(meant !== undefined && { nearest: meant }),
      };
    });
}

/** What keeps a document from being read, with its place in the text. */
function yamlFaults(document: Document): { at: number; message: string }[] {
  const faults = document.errors.map(({ pos, message }) => ({ at: pos[0], message }));
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return;
      faults.push({ at: alias.range?.[0] ?? 0, message: `nothing is anchored as ${alias.source}` });
    },
  });
  return faults;
}

function jobsTwice(files: readonly PolicyFile[]): PolicyFault[] {
  const first = new Map<string, string>();
  return files.flatMap(({ file, policy: { job } }) => {
    const other = first.get(job);
    first.set(job, other ?? file);
    return other === undefined
      ? []
      : [{ file, line: 1, path: 'job', message: `${job} has a policy in ${other} too` }];
  });
}

function regionsTwice(files: readonly PolicyFile[]): PolicyFault[] {
  return displacedRegions(files.map(({ policy }) => policy)).map(({ job, region, message }) => ({
    file: files.find(({ policy }) => policy.job === job)?.file ?? '',
    line: 1,
    path: `regions.${region}`,
    message,
  }));
}

function policyInvalid(faults: readonly PolicyFault[]): PortcullisError {
  const lines = faults.map(
    ({ file, line, path, message }) => `${file}:${line}: ${`${path} ${message}`.trim()}`,
  );
  return new PortcullisError('POLICY_INVALID', lines.join('\n'), {
    hint:
      faults.length === 1
        ? 'correct the line and try again'
        : `correct all ${faults.length} lines and try again`,
    details: { faults },
  });
}

function typed(document: PolicyDocument): Policy {
  const databases = regionDatabases(document.regions);
  return {
    job: document.job,
    unit: document.unit,
    schedule: document.schedule,
    missedSlots: document.missedSlots,
    onRearm: document.onRearm,
    regions: regionNames(document.regions),
    ...(Object.keys(databases).length > 0 && { databases }),
    flag: { maxAgeMs: milliseconds(document.flag.maxAge) },
    permitMs: milliseconds(document.permit),
    leaseMs: milliseconds(document.lease),
    planMaxAgeMs: milliseconds(document.plan.maxAge),
    apply: document.apply,
    guard: typedGuard(document.guard),
    ...(document.rollout && { rollout: typedRollout(document.rollout) }),
  };
}
