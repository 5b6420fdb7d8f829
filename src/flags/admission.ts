import { WHOLE_PERMILLE, bucketsOf } from '../kernel/bucketing.js';
import { unitsByBucket } from './admitted-units.js';
import { type FlagDefinition, HOLD, type Variant, flagName } from './definition.js';

/** How far the versions of a job are admitted in a region. */
export interface RegionAdmission {
  /** Grows with every change; 0 where no version was ever admitted. */
  readonly revision: number;
  /** Thousandths of the region's units, by version. A version that is not here is admitted to nothing. */
  readonly permille: ReadonlyMap<string, number>;
}

export interface Admissions {
  of(job: string, region: string): RegionAdmission;
}

/** A row of portcullis_control.admission. */
export interface AdmissionRow {
  readonly job: string;
  readonly region: string;
  readonly version: string;
  readonly permille: number;
  readonly revision: number;
}

/** A share that a flag gives to a version beyond its admission. What is beyond is closed. */
export interface Beyond {
  readonly version: string;
  /** Thousandths that the flag asks for. */
  readonly asked: number;
  /** Thousandths that the version is admitted to. */
  readonly admitted: number;
}

const NOTHING: RegionAdmission = { revision: 0, permille: new Map() };

/** The admissions that a source last heard of. */
export class AdmissionBook implements Admissions {
  #byFlag: ReadonlyMap<string, RegionAdmission> = new Map();

  constructor(rows: readonly AdmissionRow[] = []) {
    this.replace(rows);
  }

  of(job: string, region: string): RegionAdmission {
    return this.#byFlag.get(flagName(job, region)) ?? NOTHING;
  }

  /** Puts new content in the old one's place, at once. Answers the names of the flags whose admissions differ. */
  replace(rows: readonly AdmissionRow[]): string[] {
    const before = this.#byFlag;
    const now = new Map<string, { revision: number; permille: Map<string, number> }>();
    for (const { job, region, version, permille, revision } of rows) {
      const name = flagName(job, region);
      const admission = now.get(name) ?? { revision: 0, permille: new Map<string, number>() };
      admission.revision = Math.max(admission.revision, revision);
      admission.permille.set(version, permille);
      now.set(name, admission);
    }
    this.#byFlag = now;
    return [...new Set([...before.keys(), ...now.keys()])].filter(
      (name) => !sameAdmission(before.get(name) ?? NOTHING, now.get(name) ?? NOTHING),
    );
  }
}

function sameAdmission(one: RegionAdmission, other: RegionAdmission): boolean {
  return (
    one.revision === other.revision &&
    one.permille.size === other.permille.size &&
    [...one.permille].every(([version, permille]) => other.permille.get(version) === permille)
  );
}

/**
 * What of a flag is in force: each version has its share, down to what it is admitted to. What lies beyond is held, so
 * that no other version's buckets move. Pure.
 *
 * Where strategies or constraints decide, shares say little about how many units a version gets: there the admission
 * becomes a limit on the units themselves, see {@link withinLimit}.
 */
export function inForce(definition: FlagDefinition, admission: RegionAdmission): FlagDefinition {
  const evaluated = definition.bucketing === 'evaluate';
  const used = new Map<string, number>();
  const variants: Variant[] = [];
  const asked = new Map<string, number>();
  for (const share of definition.variants) {
    const { version, permille } = share;
    if (version === HOLD) {
      variants.push(share);
      continue;
    }
    const admitted = admission.permille.get(version) ?? 0;
    const before = used.get(version) ?? 0;
    const given = Math.min(permille, Math.max(0, admitted - before));
    used.set(version, before + given);
    asked.set(version, (asked.get(version) ?? 0) + permille);
    if (given > 0)
      variants.push(
        evaluated ? limited({ ...share, permille: given }, admitted) : { ...share, permille: given },
      );
    if (given < permille) variants.push({ version: HOLD, permille: permille - given });
  }
  while (variants.at(-1)?.version === HOLD) variants.pop();
  const beyond = [...asked].flatMap(([version, permille]): Beyond[] => {
    const admitted = admission.permille.get(version) ?? 0;
    return permille > admitted ? [{ version, asked: permille, admitted }] : [];
  });
  return {
    ...definition,
    variants,
    admission: {
      revision: admission.revision,
      beyond,
      ...(evaluated && { limits: admission.permille }),
    },
  };
}

/** Under another limit, no unit is sure to keep its version: the limit is part of the rule. */
function limited(share: Variant, admitted: number): Variant {
  return admitted === WHOLE_PERMILLE ? share : { ...share, rule: `${share.rule ?? ''} to ${admitted}` };
}

/**
 * Whether a unit that the evaluator gives to a version is within what is in force. Where shares decide, by its bucket
 * in them; elsewhere by its bucket under the flag's own name, which is at most the version's admission. Pure.
 */
export function isWithin(definition: FlagDefinition, version: string, unit: string): boolean {
  const { admission, bucketing, name } = definition;
  if (admission === undefined) return true;
  if (bucketing === 'evaluate') return bucketsOf(name)(unit) <= (admission.limits?.get(version) ?? 0);
  return unitsByBucket(definition, version, [unit]).has(unit);
}

/**
 * Of the units that an evaluator gives to a version, those that its admission covers: `all` is how many units the
 * region has. The lowest buckets under the flag's name come first, so that a growing admission drops no unit. Every
 * unit that {@link isWithin} lets through is among them. Pure.
 */
export function withinLimit(
  definition: FlagDefinition,
  version: string,
  given: readonly string[],
  all: number,
): Set<string> {
  const limits = definition.admission?.limits;
  if (limits === undefined) return new Set(given);
  const permille = limits.get(version) ?? 0;
  if (permille >= WHOLE_PERMILLE) return new Set(given);
  const most = Math.floor((all * permille) / WHOLE_PERMILLE);
  const bucket = bucketsOf(definition.name);
  const ordered = given
    .map((unit) => ({ unit, bucket: bucket(unit) }))
    .sort((one, other) => one.bucket - other.bucket || (one.unit < other.unit ? -1 : 1));
  return new Set(ordered.filter((each, at) => at < most || each.bucket <= permille).map(({ unit }) => unit));
}

/** `1.1.0_22222222 is admitted to 10%, the flag asks for 50%`. */
export function beyondText({ version, asked, admitted }: Beyond): string {
  return `${version} is admitted to ${admitted / 10}%, the flag asks for ${asked / 10}%`;
}
