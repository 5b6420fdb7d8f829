import { z } from 'zod';
import { parseWeeklyWindow } from '../kernel/weekly-window.js';
import {
  distinct,
  duration,
  fieldOf,
  name,
  onAnyArray,
  onAnyObject,
  percentage,
  permille,
  whole,
} from './policy-values.js';

const SECOND_MS = 1_000;
const DAY_MS = 24 * 60 * 60 * SECOND_MS;

const bake = z
  .strictObject({
    runs: whole(1, 10_000, 'Runs that must have ended well in each region.'),
    changes: whole(0, 10_000_000, 'Changes that these runs must have applied in each region.'),
    time: duration(0, 30 * DAY_MS),
  })
  .meta({
    description: 'What each step needs before the next: runs and changes and time, every rule passing.',
  });

const steps = z
  .array(percentage)
  .min(1)
  .max(100)
  .refine((shares) => grows(shares), { message: 'must grow from step to step, from 0.1% on', ...onAnyArray })
  .refine((shares) => shares.at(-1) === undefined || permilleOf(shares.at(-1)) === 1000, {
    message: 'must end with 100%: a version that stays at a part has not been rolled out',
    ...onAnyArray,
  })
  .meta({ description: "The candidate's share of each region's units, step by step, up to 100%." });

const wave = z
  .strictObject({
    name: name('wave').meta({ description: 'What status and approvals call it.' }),
    regions: z
      .array(name('region'))
      .min(1)
      .max(100)
      .meta({ description: 'The regions that take part in it.' }),
    steps,
    bake,
    approvals: whole(0, 1, 'How many others must agree before the wave begins.').default(0),
  })
  .meta({ description: 'Regions that go through the same steps, before those of the next wave.' });

const instant = z
  .union([z.iso.datetime({ offset: true }), z.iso.date()], {
    error: () => 'is not a moment such as 2026-12-18T16:00:00+01:00 or 2026-12-18',
  })
  .meta({ description: 'A moment with its offset from UTC, or a date: its first moment in UTC.' });

const freeze = z
  .strictObject({
    from: instant,
    until: instant,
    reason: z.string().trim().min(1).max(200).meta({ description: 'What status says of it.' }),
  })
  .refine(({ from, until }) => !(Date.parse(until) <= Date.parse(from)), {
    message: 'must end after it begins',
    ...onAnyObject,
  })
  .meta({ description: 'A time in which nothing is promoted. Kills are never held.' });

/** The `rollout` of a policy file, as a person writes it. */
export const rolloutDocument = z.strictObject({
  waves: z
    .array(wave)
    .min(1)
    .max(50)
    .refine((waves) => distinct(waves, fieldOf('name')), {
      message: 'has two waves of one name',
      ...onAnyArray,
    })
    .meta({ description: 'The waves in their order. Every region of the policy is in exactly one.' }),
  windows: z
    .array(
      z
        .strictObject({
          only: z
            .string()
            .superRefine((text, context) => {
              const read = parseWeeklyWindow(text);
              if ('fault' in read) context.addIssue(read.fault);
            })
            .meta({ description: 'Days, hours and time zone, such as Mon–Thu 09:00–16:00 Europe/Berlin.' }),
        })
        .meta({ description: 'A time in which promotions may happen.' }),
    )
    .max(20)
    .default([])
    .meta({ description: 'When promotions may happen: within any of these; without one, always.' }),
  freezes: z
    .array(freeze)
    .max(100)
    .default([])
    .meta({ description: 'When nothing is promoted, whatever the windows say.' }),
});

export type RolloutDocument = z.infer<typeof rolloutDocument>;

export interface WaveFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Where waves and a policy's regions do not fit: each region is in exactly one wave. Takes any shape. */
export function waveFaults(document: unknown): WaveFault[] {
  const { regions, rollout } = document as { regions?: unknown; rollout?: { waves?: unknown } | null };
  const waves = rollout?.waves;
  if (!Array.isArray(waves) || typeof regions !== 'object' || regions === null) return [];
  const wanted = new Set<unknown>(Array.isArray(regions) ? regions : Object.keys(regions));
  const seen = new Map<unknown, string>();
  const faults = waves.flatMap((each: unknown, at): WaveFault[] => {
    const { name: waveName, regions: of } = each as { name?: unknown; regions?: unknown };
    if (!Array.isArray(of)) return [];
    return of.flatMap((region: unknown, index): WaveFault[] => {
      const path = ['rollout', 'waves', at, 'regions', index];
      const other = seen.get(region);
      seen.set(region, String(waveName));
      if (!wanted.has(region)) return [{ path, message: `names ${String(region)}, which is not in regions` }];
      return other === undefined
        ? []
        : [{ path, message: `names ${String(region)}, which wave ${other} has` }];
    });
  });
  const missing = [...wanted].filter((region) => !seen.has(region));
  if (missing.length === 0) return faults;
  return [...faults, { path: ['rollout', 'waves'], message: `leaves out ${missing.map(String).join(', ')}` }];
}

function grows(shares: readonly unknown[]): boolean {
  return shares.every((text, at) => !(permilleOf(text) <= (at === 0 ? 0 : permilleOf(shares[at - 1]))));
}

/** NaN for what is no percentage, which has its own fault. */
function permilleOf(text: unknown): number {
  return typeof text === 'string' ? permille(text) : Number.NaN;
}
