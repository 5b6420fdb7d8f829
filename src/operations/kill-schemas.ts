import { z } from 'zod';
import { count, named, reason, word } from '../kernel/schema.js';
import { Approval } from '../access/approvals.js';

const decimalMs = z.number().min(0).describe('milliseconds');

const drill = z
  .boolean()
  .default(false)
  .describe('for practice: gates are killed all the same; incident and notices say drill');

export const KillOrder = named(
  'KillOrder',
  z.strictObject({
    region: word.optional().describe('only in this region; absent: in all'),
    version: word
      .optional()
      .describe(
        'only this version (the full one, its number, or a unique prefix of its digest): it is quarantined, and the gate stays open for others',
      ),
    reason: reason.describe('for the record, and for whoever re-arms it'),
    drill,
  }),
);

export const StopOrder = named(
  'StopOrder',
  z.strictObject({ reason: reason.describe('for the record'), drill }),
);

export const Killed = named(
  'Killed',
  z.strictObject({
    job: z.string(),
    killed: z
      .array(
        z.strictObject({
          job: z.string(),
          region: z.string(),
          epoch: z.int().describe("the gate's from now on; of a version's kill, the version's"),
          tookMs: decimalMs.describe('until no batch in its scope could commit any more, in milliseconds'),
          inFlight: count.describe('batches that were under way when the kill came'),
          terminated: count.describe('of their connections, those that had to be ended'),
          runsEnded: z.array(z.string()).readonly(),
        }),
      )
      .readonly(),
    failed: z
      .array(
        z.strictObject({
          region: z.string(),
          reason: z.string(),
          wish: z.string().nullable(),
          lapsesBy: z.string().nullable(),
        }),
      )
      .readonly()
      .describe('always empty in an answer: where one is not, the kill is KILL_INCOMPLETE'),
    incident: z.string().nullable().describe('that it opened, or joined; null where it could open none'),
    flagsAt: z
      .string()
      .optional()
      .describe('the server that has the flags, which the kill did not change; absent: they are embedded'),
    unrecorded: z
      .string()
      .optional()
      .describe(
        'why it is not on record yet; the kill holds all the same, and is recorded as soon as it can be',
      ),
  }),
);

export const Stopped = named('Stopped', z.strictObject({ jobs: z.array(Killed).readonly() }));

export const RearmOrder = named(
  'RearmOrder',
  z
    .strictObject({
      region: word.optional().describe('the region whose gate was killed'),
      regions: z.array(word).min(1).max(1000).optional().describe('or several: one request for all of them'),
      all: z.literal(true).optional().describe('or every region whose gate is killed: one request for all'),
      version: word
        .optional()
        .describe(
          'the version whose quarantine to lift, everywhere: the full one, its number, or a unique prefix of its digest',
        ),
      reason: reason.describe('why it is safe now: the incident or reason that this answers'),
      ifRevision: count
        .optional()
        .describe('refuse if the gate of `region` has another epoch by now: it was killed again since'),
    })
    .refine(
      ({ region, regions, all, version }) =>
        [region, regions, all, version].filter((each) => each !== undefined).length === 1,
      { message: 'give one of region, regions, all and version' },
    )
    .refine(({ region, ifRevision }) => ifRevision === undefined || region !== undefined, {
      message: 'ifRevision is the epoch of one gate: give it with region',
    }),
);

export const AskedRearm = named(
  'AskedRearm',
  Approval.extend({
    joined: z.boolean().describe('whether a request that waits asked for it already'),
    regions: z
      .array(z.string())
      .readonly()
      .optional()
      .describe('whose gates it re-arms; absent where it lifts a quarantine'),
    others: z
      .array(z.strictObject({ id: z.string(), regions: z.array(z.string()).readonly() }))
      .readonly()
      .optional()
      .describe('earlier requests that wait, for some of the same gates; this one needs none of them'),
  }),
);
