import { beyondText } from '../flags/admission.js';
import { narrowed, type FlagAnswer } from '../flags/definition.js';
import type { Variant } from '../flags/variant.js';

export type GateState = 'open' | 'held' | 'killed';

/** A gate as its region's database has it. */
export interface Gate {
  readonly job: string;
  readonly region: string;
  readonly state: GateState;
  /** Bumped when the gate closes: it fences the runs of every version. */
  readonly epoch: number;
  /** Bumped when one version loses what it was allowed: it fences that version's runs alone. Without an entry: 0. */
  readonly versionEpochs: Readonly<Record<string, number>>;
  /** Whether a person has confirmed the database that the gate stands in; see database.ts. */
  readonly databaseConfirmed: boolean;
  /** Null where nothing is permitted until a flag says so. */
  readonly permitUntil: Date | null;
  /** What was left of the permit when the row was read, by the database's clock; 0 once it has expired. */
  readonly permitMs: number;
  readonly flagRevision: number;
  /** The newest revision of the flag's admissions that it has seen. */
  readonly admissionRevision: number;
  /** The newest revision of each version's own admission that it has seen. */
  readonly versionAdmissions: Readonly<Record<string, number>>;
  /** What was in force of the flag at these revisions. */
  readonly variants: readonly Variant[];
  readonly reasonCode: string;
  readonly reason: string;
  /** Versions of the job that may act nowhere until a person lifts it, with the reason of each. */
  readonly quarantined: Readonly<Record<string, string>>;
}

/** What news of a flag does to its gate. */
export type Move =
  /** The permit is renewed; what the flag allows is at least what it allowed before. */
  | { readonly to: 'renew' }
  /** Open, but some versions lost units: their runs admitted before are fenced by a new epoch of their own. */
  | { readonly to: 'narrow'; readonly versions: readonly string[] }
  /** Closed, and runs admitted before are fenced. */
  | { readonly to: 'hold'; readonly code: string; readonly reason: string }
  /** Nothing. A permit that nobody renews expires by itself. */
  | { readonly to: 'leave'; readonly code: string; readonly reason: string };

/** Why nothing is written to a database that is another one than permits were given on. */
export const UNCONFIRMED = {
  code: 'database-unconfirmed',
  reason:
    'this is another database than before (a failover, or a restored backup): a person must confirm it with portcullis database confirm',
} as const;

/** The revision of a source that does not number its changes: its news is taken as it comes. */
const UNORDERED = 0;

/**
 * Decides what a flag's answer does to a gate. Pure.
 *
 * Silence is not news: an answer that is stale or could not be had neither opens nor closes the gate for
 * others, who may hear better; it only renews nothing. News older than what the gate has seen is no news
 * either, so that a worker whose flags lag behind can't re-open what another has closed. A killed gate is
 * moved by no flag at all, and on a database that nobody has confirmed every other gate is held.
 */
export function decideMove(gate: Gate, answer: FlagAnswer): Move {
  if (gate.state === 'killed') return { to: 'leave', code: 'gate-killed', reason: gate.reason };
  if (!gate.databaseConfirmed) return { to: 'hold', ...UNCONFIRMED };
  const revision = answer.open ? answer.definition.revision : answer.revision;
  if (revision !== undefined && revision !== UNORDERED && revision < gate.flagRevision) {
    return {
      to: 'leave',
      code: 'flag-outdated',
      reason: `the gate has seen flag revision ${gate.flagRevision}, this process only ${revision}`,
    };
  }
  const admissions = admissionRevisionOf(answer);
  if (admissions !== undefined && admissions < gate.admissionRevision) {
    return {
      to: 'leave',
      code: 'flag-outdated',
      reason: `the gate has seen revision ${gate.admissionRevision} of the admissions, this process only ${admissions}`,
    };
  }
  if (answer.open) {
    const versions = narrowed(gate.variants, answer.definition.variants);
    return versions.length > 0 ? { to: 'narrow', versions } : { to: 'renew' };
  }
  switch (answer.code) {
    case 'flag-stale':
    case 'flag-unreachable':
    case 'flag-unauthorised':
      return { to: 'leave', code: answer.code, reason: answer.reason };
    case 'flag-unknown':
    case 'flag-off':
    case 'flag-held':
    case 'version-not-admitted':
    case 'flag-malformed':
      return { to: 'hold', code: answer.code, reason: answer.reason };
  }
}

/** Leave to write, as far as this version is concerned: yes with what binds it, or no with the reason. */
export type Admission =
  | {
      readonly admitted: true;
      readonly epoch: number;
      readonly versionEpoch: number;
      readonly flagRevision: number;
    }
  | { readonly admitted: false; readonly code: string; readonly reason: string };

/**
 * Decides whether a version may begin a run behind a gate. Pure. The gate must stand as this very answer
 * left it: what the units are drawn from and what the fence will check are then the same thing.
 */
export function decideAdmission(gate: Gate, answer: FlagAnswer, version: string): Admission {
  if (gate.state === 'killed')
    return { admitted: false, code: 'gate-killed', reason: `killed: ${gate.reason}` };
  if (!gate.databaseConfirmed) return { admitted: false, ...UNCONFIRMED };
  if (!answer.open) return { admitted: false, code: answer.code, reason: answer.reason };
  if (gate.state === 'held') return { admitted: false, code: gate.reasonCode, reason: gate.reason };
  if (gate.permitMs === 0)
    return { admitted: false, code: 'permit-lapsed', reason: lapsed(gate.permitUntil) };
  const quarantined = gate.quarantined[version];
  if (quarantined !== undefined) {
    return {
      admitted: false,
      code: 'version-quarantined',
      reason: `${version} is quarantined: ${quarantined}`,
    };
  }
  const { definition } = answer;
  if (gate.flagRevision !== definition.revision) {
    return {
      admitted: false,
      code: 'flag-outdated',
      reason: `the gate has seen flag revision ${gate.flagRevision}, this process has ${definition.revision}`,
    };
  }
  const admissions = admissionRevisionOf(answer);
  if (admissions !== undefined && gate.admissionRevision !== admissions) {
    return {
      admitted: false,
      code: 'flag-outdated',
      reason: `the gate has seen revision ${gate.admissionRevision} of the admissions, this process has ${admissions}`,
    };
  }
  const seen = gate.versionAdmissions[version] ?? 0;
  const own = definition.admission?.revisions?.get(version) ?? 0;
  if (definition.admission?.revisions !== undefined && own < seen) {
    return {
      admitted: false,
      code: 'admission-outdated',
      reason: `${gate.region} has seen revision ${seen} of the admission of ${version}, and the control database has ${own}: it is older than this region`,
    };
  }
  if (!definition.variants.some((variant) => variant.version === version && variant.permille > 0)) {
    const beyond = definition.admission?.beyond.find((each) => each.version === version);
    return {
      admitted: false,
      code: 'version-not-admitted',
      reason: beyond
        ? `${beyondText(beyond)} in ${gate.region}`
        : `${version} is not admitted in ${gate.region}`,
    };
  }
  const { epoch, versionEpochs } = gate;
  return {
    admitted: true,
    epoch,
    versionEpoch: versionEpochs[version] ?? 0,
    flagRevision: definition.revision,
  };
}

/** The revision of each version's own admission, as far as an answer tells it. */
export function versionRevisionsOf(answer: FlagAnswer): ReadonlyMap<string, number> {
  return (answer.open ? answer.definition.admission?.revisions : answer.admissionRevisions) ?? new Map();
}

/** The revision of the admissions that an answer rests on; undefined where it rests on none. */
export function admissionRevisionOf(answer: FlagAnswer): number | undefined {
  return answer.open ? answer.definition.admission?.revision : answer.admissionRevision;
}

/** How an expired permit is told. */
export function lapsed(permitUntil: Date | null): string {
  return permitUntil === null ? 'no permit was given' : `permit expired at ${permitUntil.toISOString()}`;
}
