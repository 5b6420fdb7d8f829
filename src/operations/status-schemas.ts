import { z } from 'zod';
import { Database } from './databases.js';
import { Flag, FlagSource, Gate } from './gate-schemas.js';
import { count, named, time } from '../kernel/schema.js';
import { RunView } from '../runs/browse-runs.js';

const standing = {
  why: z.string().describe('empty where it is open'),
  since: time.nullable().describe('null where that is not known'),
};
const state = ['open', 'held', 'killed', 'expired', 'unreachable'] as const;

const VersionStatus = z.strictObject({
  version: z.string(),
  permille: count.describe('thousandths that are in force'),
  beyond: z.string().nullable().describe('why that is less than the flag asks for; null where it is not'),
  state: z.enum([...state, 'quarantined', 'unserved', 'not-admitted']),
  ...standing,
  lastRun: RunView.nullable(),
});

const PendingKill = z.strictObject({
  id: z.string(),
  job: z.string(),
  region: z.string(),
  version: z.string().nullable(),
  restoresToo: z.boolean(),
  drill: z.boolean(),
  reason: z.string(),
  by: z.string(),
  at: time,
  lapsesBy: time.nullable().describe('by when the last permit will have expired; null: unknown'),
  tries: count,
  trouble: z.string().describe('why it has not been carried out'),
});

const RegionStatus = z.strictObject({
  region: z.string(),
  state: z.enum(state),
  ...standing,
  flag: Flag.nullable().describe('null: there is none, or its source was not heard'),
  gate: Gate.nullable().describe('null: no worker has ever looked at it'),
  versions: z.array(VersionStatus).readonly().describe('each version with a share, candidate first'),
  lastRun: RunView.nullable().describe('of any version; dry runs and restores are none'),
  unreachable: z.string().nullable().describe('why the database could not be asked; null: it answered'),
  killWish: PendingKill.nullable().describe('a kill that has not reached the gate yet'),
});

export const StatusSchema = named(
  'Status',
  z.strictObject({
    flagSource: FlagSource,
    databases: z.array(Database).readonly().describe('the region databases that could be asked'),
    jobs: z
      .array(
        z.strictObject({
          job: z.string(),
          version: z.string().nullable().describe('that is installed; null: the job is not'),
          schedule: z.string().nullable().describe('cron, in UTC; null: no policy schedules the job'),
          nextSlot: time.nullable(),
          regions: z.array(RegionStatus).readonly(),
        }),
      )
      .readonly(),
  }),
);
