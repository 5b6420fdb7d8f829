import { z } from 'zod';
import {
  NAME,
  distinct,
  duration,
  fieldOf,
  name,
  onAnyArray,
  onAnyObject,
  percentage,
  whole,
} from './policy-values.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** So that the first honest change in a small region, 1 row of 1, is not over a share of it. */
export const SHARE_FLOOR = 10;

const changeKind = z
  .string()
  .regex(NAME, 'is not a kind of change, such as claim')
  .meta({ description: 'The kind of change that is counted, from the words of the job.' });

const cap = z
  .strictObject({
    kind: changeKind,
    perRun: whole(0, 10_000_000, 'The most changes of this kind in one run.').optional(),
    perUnit: whole(0, 10_000_000, 'The most changes of this kind for one unit in one run.').optional(),
    shareOfRegion: percentage
      .meta({ description: "The largest share of the region's rows that one run may change, such as 5%." })
      .optional(),
    floor: whole(
      0,
      10_000_000,
      `So many rows are always within shareOfRegion, however small the region; ${SHARE_FLOOR} where it is left out.`,
    ).optional(),
  })
  .refine((each) => each.floor === undefined || each.shareOfRegion !== undefined, {
    message: 'floor needs shareOfRegion',
    ...onAnyObject,
  })
  .refine(
    (each) => each.perRun !== undefined || each.perUnit !== undefined || each.shareOfRegion !== undefined,
    { message: 'limits nothing: give it perRun, perUnit or shareOfRegion', ...onAnyObject },
  )
  .meta({ description: 'How much of one kind of change a run may plan. A plan over a cap applies nothing.' });

const ruleName = name('rule').meta({
  description: 'The name by which verdicts, metrics and incidents call it.',
});

const chance = (preset: number) =>
  z
    .number()
    .min(1e-9)
    .max(0.1)
    .default(preset)
    .meta({ description: 'The chance of a false alarm that is accepted, from 1e-9 to 0.1.' });

const invariant = z
  .strictObject({
    kind: z.literal('invariant'),
    name: ruleName,
    timeout: duration(100, MINUTE_MS).default('10s'),
    sql: z
      .string()
      .max(20_000)
      .superRefine((text, context) => {
        const fault = queryFault(text);
        if (fault !== undefined) context.addIssue(fault);
      })
      .meta({
        description:
          'One query over `proposed` (kind, resource, key, unit, before, after, evidence) and the job’s tables, by their names alone. Each row it returns is a change that breaks the rule.',
      }),
  })
  .meta({ description: 'What must hold of every plan: a read-only query that must return no rows.' });

const count = z
  .strictObject({
    kind: z.literal('count'),
    name: ruleName,
    change: changeKind,
    of: z.enum(['changes', 'units']).default('changes').meta({
      description:
        'changes: how many a run plans; units: for how many units, such as organisations, it plans any.',
    }),
    alpha: chance(0.00025),
    floor: whole(1, 10_000_000, 'A smaller count never fails.').default(10),
  })
  .meta({ description: "Whether a run's count is plausible beside the region's accepted runs." });

const rate = z
  .strictObject({
    kind: z.literal('rate'),
    name: ruleName,
    of: z.enum(['conflicts', 'refusals', 'errors']).meta({
      description:
        'conflicts: rows that were no longer as planned; refusals: changes that the database refused; errors: both.',
    }),
    acceptable: z
      .string({ error: () => 'is not a percentage such as "1%" or "0.05%"' })
      .regex(/^(50(\.0{1,3})?|[0-4]?\d(\.\d{1,3})?)%$/, 'is not a percentage from 0% to 50%')
      .meta({ description: 'The share of changes that may go so, such as 1%; at 0% the first one fails.' }),
    alpha: chance(0.001),
  })
  .meta({ description: 'Judged after each batch: how often changes fail to apply.' });

const outcome = z
  .strictObject({
    kind: z.literal('outcome'),
    name: ruleName,
    event: z
      .string()
      .regex(NAME, 'is not a kind of event, such as login-failed')
      .meta({ description: 'The kind of bad outcome that products report.' }),
    alpha: chance(0.01),
    tolerance: z
      .number()
      .min(1)
      .max(10)
      .default(1)
      .meta({ description: 'How many times worse than the stable version is still accepted, such as 1.1.' }),
  })
  .meta({ description: "Whether the candidate's units fare worse than the stable version's." });

const PLACEHOLDERS = ['job', 'region', 'version'];

const promql = z
  .strictObject({
    kind: z.literal('promql'),
    name: ruleName,
    query: z
      .string()
      .min(1)
      .max(10_000)
      .superRefine((text, context) => {
        for (const [, word = ''] of text.matchAll(/\{\{\s*(.*?)\s*\}\}/g)) {
          if (!PLACEHOLDERS.includes(word))
            context.addIssue(
              `has {{${word}}}; there are ${PLACEHOLDERS.map((each) => `{{${each}}}`).join(', ')}`,
            );
        }
      })
      .meta({ description: 'A Prometheus query; {{job}}, {{region}} and {{version}} are filled in.' }),
    above: z.number().meta({ description: 'Fails when the value is greater.' }).optional(),
    below: z.number().meta({ description: 'Fails when the value is less.' }).optional(),
    for: duration(0, DAY_MS).default('0s'),
  })
  .refine(({ above, below }) => (above === undefined) !== (below === undefined), {
    message: 'needs either above or below',
    ...onAnyObject,
  })
  .meta({ description: 'Whether a Prometheus query stays on the right side of a value.' });

const spike = z
  .strictObject({
    change: changeKind,
    times: z
      .number()
      .min(2)
      .max(1_000)
      .default(10)
      .meta({ description: 'Times the rate of the day before.' }),
    least: z.number().positive().max(1_000_000).default(1).meta({
      description: 'Changes a second that are no spike yet, however quiet the day was.',
    }),
    for: duration(10_000, DAY_MS).default('1m').meta({ description: 'How long it must last.' }),
    runbook: z.string().min(1).max(500).optional().meta({ description: 'Where to read what to do.' }),
  })
  .meta({
    description:
      'What Prometheus watches for; `portcullis flags alerts` writes its rule, named as the one name in alerts.',
  });

export type SpikeDocument = z.infer<typeof spike>;

const alert = z
  .strictObject({
    kind: z.literal('alert'),
    name: ruleName,
    alerts: z
      .array(z.string().min(1).max(200))
      .min(1)
      .max(100)
      .meta({ description: 'Names of alerts; without it, any alert that names this job.' })
      .optional(),
    spike: spike.optional(),
  })
  .refine(({ alerts, spike: watched }) => watched === undefined || alerts?.length === 1, {
    message: 'with spike needs one name in alerts',
    path: ['alerts'],
    ...onAnyObject,
  })
  .meta({ description: 'An alert that Alertmanager sends for this job.' });

const absence = z
  .strictObject({
    kind: z.literal('absence'),
    name: ruleName,
    of: z.enum(['run', 'scrape', 'outcome']).meta({ description: 'What must not be missing.' }),
    longerThan: duration(MINUTE_MS, 30 * DAY_MS),
  })
  .meta({ description: "A dead man's switch: holds when something has not come for too long." });

const rule = z.discriminatedUnion('kind', [invariant, count, rate, outcome, promql, alert, absence]);

const prometheus = z
  .strictObject({
    url: z
      .string()
      .max(2_000)
      .refine(isHttpUrl, 'is not an http or https URL')
      .meta({ description: 'Where it answers, such as http://prometheus:9090.' }),
    regions: z
      .array(name('region'))
      .min(1)
      .max(100)
      .meta({ description: 'The regions it is asked for; without it, all.' })
      .optional(),
  })
  .meta({ description: 'A Prometheus server that promql rules ask.' });

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

/** Whether the runtime knows the IANA time zone. */
export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** The `guard` of a policy file, as a person writes it. */
export const guardDocument = z.strictObject({
  timeZone: z
    .string()
    .max(100)
    .refine(isTimeZone, 'is not a time zone such as Europe/Berlin')
    .meta({
      description:
        "The IANA time zone in which the job's day turns, such as Europe/Berlin: counts compare hours and weekdays of its clock. Without it, UTC. The schedule stays in UTC.",
    })
    .optional(),
  onTrip: z
    .strictObject({
      restore: z.enum(['propose', 'auto', 'never']).default('propose'),
      close: z.enum(['candidate', 'region']).optional(),
    })
    .prefault({})
    .meta({
      description:
        "restore: what becomes of what a tripped run has written; proposed to a person, started by itself, or neither. close: what a trip closes; candidate: the version that failed, where its rollout is unfinished; region: the region's gate. Without close: candidate where the evidence is that version's alone, otherwise region.",
    }),
  prometheus: z.array(prometheus).max(20).default([]),
  caps: z
    .array(cap)
    .max(100)
    .refine((caps) => distinct(caps, fieldOf('kind')), {
      message: 'has two caps for one kind: put their limits into one',
      ...onAnyArray,
    })
    .default([]),
  rules: z
    .array(rule)
    .max(100)
    .refine((rules) => distinct(rules, fieldOf('name')), {
      message: 'has two rules of one name',
      ...onAnyArray,
    })
    .default([])
    .meta({ description: 'The rules, each with a name of its own.' }),
});

export type GuardDocument = z.infer<typeof guardDocument>;

/** Text of which no character is code: literals, quoted names, comments. */
const INERT =
  /\b[eE]'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[^]*?\*\/|(\$\w*\$)[^]*?\1/g;

/**
 * What is wrong with an SQL text that should be one query; undefined where it is one. A reader's help, not a
 * defence: the database itself runs it with rights to read and takes a single statement only.
 */
function queryFault(sql: string): string | undefined {
  const code = sql.replace(INERT, ' ').trim().replace(/;\s*$/, '').trim();
  if (code === '') return 'is empty';
  if (code.includes(';')) return 'has more than one statement';
  if (!/^(select|with|values|table)\b|^\(/i.test(code))
    return 'is not a query: it must begin with select or with';
  return undefined;
}
