import type pg from 'pg';
import { flagElsewhere } from './flags-elsewhere.js';
import { listFlags, setFlag, type FlagBefore, type FlagChange, type FlagState } from './flag-store.js';
import { type Admissions, type Beyond, beyondText, inForce } from './admission.js';
import { readAdmissions } from './admission-store.js';
import type { BreakGlassInForce, FlagDefinition, Variant } from './definition.js';
import type { FlagSource, SourceProblem } from './source.js';

/** A flag as its source has it. Null: the source does not say. */
export interface FlagView {
  readonly name: string;
  readonly job: string;
  readonly region: string;
  readonly enabled: boolean;
  readonly variants: readonly Variant[];
  readonly revision: number;
  /** The versions that may act here, each for at most so much, whatever the shares say. */
  readonly admitted: readonly { readonly version: string; readonly permille: number }[];
  /** Shares beyond that: closed, with the reason. */
  readonly beyond: readonly (Beyond & { readonly reason: string })[];
  /** Break-glass that counts now. */
  readonly breakGlass: readonly (Pick<BreakGlassInForce, 'id' | 'permille' | 'admitted' | 'until'> & {
    readonly version: string;
  })[];
  readonly reason: string | null;
  readonly changedBy: string | null;
  /** ISO 8601 in UTC. */
  readonly changedAt: string | null;
  /** What is wrong with it; such a flag is closed. */
  readonly malformed?: string;
}

/** A flag that was set, and what it was before. */
export interface FlagSetView extends FlagView {
  readonly before: FlagBefore;
}

/** Where flags come from, and how old what is shown of them is. Times are ISO 8601 in UTC. */
export interface SourceView {
  readonly kind: string;
  /** The server to change them at; null: they are changed here. */
  readonly url: string | null;
  /** When it last confirmed what is shown; null where this process has never heard it. */
  readonly heardAt: string | null;
  readonly ageMs: number | null;
  /** How often it is asked, where it does not tell of changes by itself. */
  readonly polledMs: number | null;
  /** What is wrong with it, as this process sees it. */
  readonly problem: (SourceProblem & { readonly since: string }) | null;
}

/** Where flags are shown and changed, whatever their source. */
export interface FlagDesk {
  source(): SourceView;
  /** By job and region. Empty where the source was never heard: `source` says so. */
  list(job?: string): Promise<readonly FlagView[]>;
  /** What {@link setFlag} throws, and FLAGS_ELSEWHERE where they cannot be changed here. */
  set(change: FlagChange): Promise<FlagSetView>;
}

/**
 * Flags of the control database, which is asked each time. `heard`: what a process that acts on them has heard.
 * `polledMs`: how often such a process asks, where this one is none and knows.
 */
export function embeddedDesk(control: pg.Pool, heard?: FlagSource, polledMs: number | null = null): FlagDesk {
  return {
    source: () =>
      heard === undefined
        ? {
            kind: 'embedded',
            url: null,
            heardAt: new Date().toISOString(),
            ageMs: 0,
            polledMs,
            problem: null,
          }
        : sourceView(heard, null),
    list: async (job) => {
      const flags = await listFlags(control, job);
      const admissions = await readAdmissions(control);
      return flags.map((flag) => flagView(flag, admissions));
    },
    set: async (change) => {
      const { before, ...flag } = await setFlag(control, change);
      return { ...flagView(flag, await readAdmissions(control)), before };
    },
  };
}

/** Flags of a server that is not ours: shown as last heard, of the regions that policies name, and not changed. */
export function foreignDesk(
  source: FlagSource,
  url: string,
  governed: () => Promise<readonly { readonly job: string; readonly regions: readonly string[] }[]>,
): FlagDesk {
  return {
    source: () => sourceView(source, url),
    list: async (wanted) =>
      (await governed())
        .filter(({ job }) => (wanted ?? job) === job)
        .flatMap(({ job, regions }) => regions.map((region) => ({ job, region })))
        .sort((a, b) => (`${a.job} ${a.region}` < `${b.job} ${b.region}` ? -1 : 1))
        .flatMap(({ job, region }): FlagView[] => {
          const found = source.repository.find(`${job}.${region}`);
          if (found === undefined) return [];
          const unsaid = { job, region, reason: null, changedBy: null, changedAt: null };
          if ('malformed' in found) {
            return [
              { ...found, ...unsaid, enabled: false, variants: [], admitted: [], beyond: [], breakGlass: [] },
            ];
          }
          const { name, enabled, variants, revision } = found;
          return [
            { ...unsaid, name, enabled, variants, revision, ...admissionView(found, source.admissions) },
          ];
        }),
    set: ({ job, region }) => Promise.reject(flagElsewhere(url, job, region)),
  };
}

export function sourceView(source: FlagSource, url: string | null): SourceView {
  const { heardAgeMs, problem, problemAgeMs = 0, polledMs = null } = source.state();
  const ago = (ms: number): string => new Date(Date.now() - ms).toISOString();
  const ageMs = Number.isFinite(heardAgeMs) ? Math.max(0, Math.round(heardAgeMs)) : null;
  return {
    kind: source.name,
    url,
    heardAt: ageMs === null ? null : ago(ageMs),
    ageMs,
    polledMs,
    problem: problem === undefined ? null : { ...problem, since: ago(problemAgeMs) },
  };
}

function flagView({ changedAt, ...flag }: FlagState, admissions: Admissions): FlagView {
  return { ...flag, ...admissionView(flag, admissions), changedAt: changedAt.toISOString() };
}

function admissionView(
  flag: FlagDefinition,
  admissions: Admissions,
): Pick<FlagView, 'admitted' | 'beyond' | 'breakGlass'> {
  const admission = admissions.of(flag.job, flag.region);
  const beyond = inForce(flag, admission).admission?.beyond ?? [];
  return {
    admitted: [...admission.permille]
      .map(([version, permille]) => ({ version, permille }))
      .filter(({ permille }) => permille > 0),
    beyond: beyond.map((each) => ({ ...each, reason: beyondText(each) })),
    breakGlass: [...(admission.breakGlass ?? [])].map(([version, { id, permille, admitted, until }]) => ({
      ...{ version, id, permille, admitted, until },
    })),
  };
}
