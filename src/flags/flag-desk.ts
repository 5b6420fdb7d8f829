import { z } from 'zod';
import type pg from 'pg';
import { flagElsewhere } from './flags-elsewhere.js';
import { listFlags, setFlag, type FlagChange, type FlagState } from './flag-store.js';
import { type Admissions, beyondText, inForce } from './admission.js';
import { readAdmissions } from './admission-store.js';
import { type FlagDefinition } from './definition.js';
import type { FlagSource } from './source.js';
import { count, durationMs, named, isoTime } from '../kernel/schema.js';
import { Variant } from './variant.js';

/** Break-glass by which versions have more than they are admitted to. */
export const ListedBreakGlass = z
  .array(
    z.strictObject({
      version: z.string(),
      id: z.string(),
      permille: count.describe('thousandths that it admits the version to'),
      admitted: count.describe('thousandths that the version is admitted to without it'),
      until: isoTime,
    }),
  )
  .readonly();

/** A flag as its source has it. */
export const FlagView = z.strictObject({
  name: z.string().describe('job.region'),
  job: z.string(),
  region: z.string(),
  enabled: z.boolean(),
  variants: z.array(Variant).readonly().describe('in order of their buckets, candidate first'),
  revision: count,
  admitted: z
    .array(z.strictObject({ version: z.string(), permille: count }))
    .readonly()
    .describe('the versions that may act here, each for at most so much, whatever the shares say'),
  beyond: z
    .array(
      z.strictObject({
        version: z.string(),
        asked: count.describe('thousandths that the flag gives'),
        admitted: count.describe('thousandths that the version is admitted to'),
        reason: z.string(),
      }),
    )
    .readonly()
    .describe('shares beyond what their versions are admitted to: what is beyond is closed'),
  breakGlass: ListedBreakGlass.describe('break-glass that counts now'),
  reason: z.string().nullable().describe('null where the source does not say'),
  changedBy: z.string().nullable().describe('null where the source does not say'),
  changedAt: isoTime.nullable().describe('null where the source does not say'),
  malformed: z.string().optional().describe('what is wrong with the flag as stored; such a flag is closed'),
});
export type FlagView = z.infer<typeof FlagView>;

/** A flag that was set, and what it was before. */
export const FlagSetView = named(
  'FlagSet',
  z.strictObject({
    ...FlagView.shape,
    before: z
      .strictObject({ enabled: z.boolean(), variants: FlagView.shape.variants, revision: count })
      .describe('what the flag was before'),
  }),
);
export type FlagSetView = z.infer<typeof FlagSetView>;

/** Where flags come from, and how old what is shown of them is. */
export const SourceView = named(
  'FlagSource',
  z.strictObject({
    kind: z.string().describe('embedded or unleash'),
    url: z.string().nullable().describe('the server to change flags at; null: they are changed here'),
    heardAt: isoTime
      .nullable()
      .describe('when it last confirmed what is shown; null: never, by this process'),
    ageMs: durationMs.nullable(),
    polledMs: durationMs.nullable().describe('how often it is asked; null: it tells of changes by itself'),
    problem: z
      .strictObject({
        code: z.enum(['flag-malformed', 'flag-unauthorised', 'flag-unreachable']),
        reason: z.string(),
        since: isoTime,
      })
      .nullable()
      .describe('what is wrong with it, as this process sees it'),
  }),
);
export type SourceView = z.infer<typeof SourceView>;

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
