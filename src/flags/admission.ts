import { WHOLE_PERMILLE, bucketsOf } from '../kernel/bucketing.js';
import { time } from '../kernel/words.js';
import { unitsByBucket } from './admitted-units.js';
import { type BreakGlassInForce, type FlagDefinition, HOLD, flagName } from './definition.js';
import { type MonotonicClock, monotonicMs } from './hearing.js';
import type { Variant } from './variant.js';

/** How far the versions of a job are admitted in a region. */
export interface RegionAdmission {
  /** Grows with every change; 0 where no version was ever admitted. */
  readonly revision: number;
  /** Thousandths of the region's units, by version. A version that is not here is admitted to nothing. */
  readonly permille: ReadonlyMap<string, number>;
  /** The revision of each version's own admission; absent: the source does not number them. */
  readonly revisions?: ReadonlyMap<string, number>;
  /** The versions that break-glass admits to more than a rollout has; absent: none. */
  readonly breakGlass?: ReadonlyMap<string, BreakGlassInForce>;
}

export interface Admissions {
  of(job: string, region: string): RegionAdmission;
}

/** A row of portcullis_control.admission, with what break-glass adds. */
export interface AdmissionRow {
  readonly job: string;
  readonly region: string;
  readonly version: string;
  readonly permille: number;
  readonly revision: number;
  readonly breakGlass?: readonly BreakGlassRow[] | null;
}

export interface BreakGlassRow {
  readonly id: string;
  readonly permille: number;
  readonly until: string;
  /** What was left of it when the row was read. */
  readonly leftMs: number;
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

/** What was read of one flag's admissions, and what that comes to until break-glass ends. */
interface Read {
  readonly rows: readonly AdmissionRow[];
  readonly askedAtMs: number;
  now: RegionAdmission;
  untilMs: number;
}

/** The admissions that a source last heard of. Break-glass ends in it by itself, on a clock that never steps. */
export class AdmissionBook implements Admissions {
  readonly now: MonotonicClock;
  #byFlag: ReadonlyMap<string, Read> = new Map();

  constructor(rows: readonly AdmissionRow[] = [], now: MonotonicClock = monotonicMs) {
    this.now = now;
    this.replace(rows);
  }

  of(job: string, region: string): RegionAdmission {
    const read = this.#byFlag.get(flagName(job, region));
    if (read === undefined) return NOTHING;
    if (this.now() >= read.untilMs) Object.assign(read, admissionAt(read, this.now()));
    return read.now;
  }

  /**
   * Puts new content in the old one's place, at once; it was asked for at `askedAtMs`. Answers the names of the flags
   * whose admissions differ.
   */
  replace(rows: readonly AdmissionRow[], askedAtMs: number = this.now()): string[] {
    const before = this.#byFlag;
    const byFlag = new Map<string, AdmissionRow[]>();
    for (const row of rows) {
      const name = flagName(row.job, row.region);
      const of = byFlag.get(name);
      if (of === undefined) byFlag.set(name, [row]);
      else of.push(row);
    }
    const now = new Map(
      [...byFlag].map(([name, of]): [string, Read] => {
        const read = { rows: of, askedAtMs };
        return [name, { ...read, ...admissionAt(read, this.now()) }];
      }),
    );
    this.#byFlag = now;
    return [...new Set([...before.keys(), ...now.keys()])].filter(
      (name) => !sameAdmission(before.get(name)?.now ?? NOTHING, now.get(name)?.now ?? NOTHING),
    );
  }
}

/** What was read, at a moment of the monotonic clock; and until when that is so. Pure. */
function admissionAt(
  { rows, askedAtMs }: Pick<Read, 'rows' | 'askedAtMs'>,
  nowMs: number,
): Pick<Read, 'now' | 'untilMs'> {
  const permille = new Map<string, number>();
  const breakGlass = new Map<string, BreakGlassInForce>();
  let untilMs = Infinity;
  for (const { version, permille: admitted, breakGlass: grants } of rows) {
    permille.set(version, admitted);
    for (const { id, permille: granted, until, leftMs } of grants ?? []) {
      const endsAtMs = askedAtMs + leftMs;
      if (nowMs >= endsAtMs) continue;
      untilMs = Math.min(untilMs, endsAtMs);
      // Of several, the one that gives the most counts; of these the one that lasts.
      const most = permille.get(version) ?? 0;
      const best = breakGlass.get(version);
      if (granted < most || (granted === most && (best === undefined || best.endsAtMs >= endsAtMs))) continue;
      permille.set(version, granted);
      breakGlass.set(version, { id, permille: granted, admitted, until, endsAtMs });
    }
  }
  return {
    now: {
      revision: Math.max(0, ...rows.map(({ revision }) => revision)),
      permille,
      revisions: new Map(rows.map(({ version, revision }) => [version, revision])),
      ...(breakGlass.size > 0 && { breakGlass }),
    },
    untilMs,
  };
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
  const underBreakGlass = [...(admission.breakGlass ?? [])].filter(
    ([version, { admitted }]) => (asked.get(version) ?? 0) > admitted,
  );
  return {
    ...definition,
    variants,
    admission: {
      revision: admission.revision,
      beyond,
      asked,
      ...(admission.revisions && { revisions: admission.revisions }),
      ...(underBreakGlass.length > 0 && { breakGlass: new Map(underBreakGlass) }),
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

/** `1.1.0_22222222 acts for up to 50% by break-glass k3vq7m2x until 2026-11-23T10:00:00Z, 10% without it`. */
export function breakGlassText({
  version,
  id,
  permille,
  admitted,
  until,
}: Pick<BreakGlassInForce, 'id' | 'permille' | 'admitted' | 'until'> & { readonly version: string }): string {
  return `${version} acts for up to ${permille / 10}% by break-glass ${id} until ${time(until)}, ${admitted / 10}% without it`;
}
