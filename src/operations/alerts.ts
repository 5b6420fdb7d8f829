import type pg from 'pg';
import { z } from 'zod';
import { mayDo, requireMay } from '../access/roles.js';
import type { TokenHolder } from '../access/tokens.js';
import { PortcullisError } from '../kernel/errors.js';
import { shorten } from '../kernel/text.js';
import { countOf } from '../kernel/words.js';
import { loadPolicies } from '../flags/policy-store.js';
import { gatesOf } from '../containment/gates-of.js';
import { FATES, receiveAlerts, type AlertFate, type AlertTarget } from '../guard/bake/alerts.js';
import {
  ALERT_STATES,
  clearAlert,
  listAlerts,
  regionsOfAlert,
  AlertView,
} from '../guard/bake/browse-alerts.js';
import { notify } from '../notify/notice.js';
import type { OperationContext } from './context.js';
import { operation } from './operation.js';
import { named, pageSchema, reason } from '../kernel/schema.js';
import { jobQuery, namePath, pageQuery, regionQuery } from './schemas.js';

/** Room for thousands of alerts: one that is left out kills nothing. */
const BODY_BYTES = 5 * 1024 * 1024;

/** Read leniently, alert by alert: what is wrong with one is no reason to leave another. */
const AlertBatch = named(
  'AlertBatch',
  z.looseObject({
    alerts: z
      .array(z.unknown())
      .min(1)
      .describe("Alertmanager's alerts; their labels portcullis_job and portcullis_region say what to kill"),
    truncatedAlerts: z.unknown().optional().describe('how many Alertmanager left out (max_alerts)'),
  }),
);

const AlertFates = named(
  'AlertFates',
  z.strictObject({
    alerts: z
      .array(
        z.strictObject({
          fingerprint: z.string(),
          name: z.string(),
          fate: z.enum(FATES),
          reason: z.string(),
        }),
      )
      .readonly(),
    truncatedAlerts: z.int().min(0).describe('left out by Alertmanager, and so not seen here'),
  }),
);

const AlertPage = pageSchema('AlertPage', AlertView);

/** What Alertmanager's webhook posts to, and what it has posted. */
export const alertOperations = {
  receiveAlerts: operation({
    at: 'POST /api/v1/hooks/alertmanager',
    example: {
      alerts: [
        {
          ...{ status: 'firing', fingerprint: '00c0ffee00c0ffee', startsAt: '2026-03-01T09:30:00Z' },
          labels: {
            alertname: 'ErrorSpike',
            portcullis_job: 'dormant-cleanup',
            portcullis_region: 'eu-west-1',
          },
        },
      ],
    },
    summary: "Kills what firing alerts name, once each; Alertmanager's webhook, version 4",
    keyed: 'no',
    action: 'send-alerts',
    // Each alert names its own: what one may kill is killed, whatever is wrong with the others.
    reach: 'function',
    body: AlertBatch,
    bodyBytes: BODY_BYTES,
    unread: tellUnread,
    result: AlertFates,
    errors: ['ALERT_REFUSED', 'ALERT_UNHANDLED'],
    run: async (context, body, caller) => {
      const { control, dropGate } = context;
      const targets = await targetsOf(control);
      const denials: unknown[] = [];
      const requireHere = (region: string): void => {
        try {
          requireMay(caller, 'send-alerts', region);
        } catch (error) {
          denials.push(error);
          throw error;
        }
      };
      const fates = await receiveAlerts({ control, targets, dropGate, requireMay: requireHere }, body.alerts);
      const truncatedAlerts = countIn(body.truncatedAlerts);
      await tellLost(context, fates, truncatedAlerts);
      if (denials.length > 0 && fates.every(({ fate }) => fate === 'refused')) throw denials[0];
      // What must be sent again goes before what need not.
      refuseFor(fates, truncatedAlerts, 'failed');
      refuseFor(fates, truncatedAlerts, 'refused');
      return { alerts: fates, truncatedAlerts };
    },
  }),
  listAlerts: operation({
    at: 'GET /api/v1/alerts',
    example: { state: 'firing' },
    summary: 'Alerts that were received, the last first',
    action: 'read',
    query: z.strictObject({
      ...pageQuery,
      state: z.enum(ALERT_STATES).optional().describe('only in this state'),
      job: jobQuery,
      region: regionQuery,
    }),
    result: AlertPage,
    run: ({ control }, query) => listAlerts(control, query, query),
  }),
  clearAlert: operation({
    at: 'POST /api/v1/alerts/:id/clear',
    example: { id: '00c0ffee00c0ffee', reason: 'a test of the rule' },
    summary: 'Clears a firing alert, so that it aborts no rollout; re-arms nothing',
    action: 'manage-incident',
    reach: ({ control }, { id }) => regionsOfAlert(control, id),
    params: z.strictObject({ id: namePath }),
    body: named('ClearAlert', z.strictObject({ reason })),
    oneCommit: true,
    result: AlertView,
    errors: ['ALERT_UNKNOWN', 'ALERT_NOT_FIRING'],
    run: ({ control }, { id, ...body }, caller) => {
      return clearAlert(control, id, {
        by: caller.name,
        reason: body.reason,
        requireMay: (region) => requireMay(caller, 'manage-incident', region),
      });
    },
  }),
};

/** What alerts may kill: by policy, or, where that is malformed, wherever the job has a gate or a flag. */
async function targetsOf(control: pg.Pool): Promise<Map<string, AlertTarget>> {
  const loaded = await loadPolicies(control);
  const gates = loaded.every(({ ok }) => ok) ? new Map<string, string[]>() : await gatesOf(control);
  return new Map(
    loaded.map((each): [string, AlertTarget] =>
      each.ok
        ? [each.job, each.policy]
        : [each.job, { job: each.job, regions: gates.get(each.job) ?? [], malformed: each.reason }],
    ),
  );
}

/** What Alertmanager says of what it left out, as far as it says so. */
function countIn(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

const LINES = 20;
const REASON_LENGTH = 300;
/** Alertmanager sends the same again every few minutes. */
const TOLD_AGAIN_MS = 3_600_000;

/** Tells people which alerts kill nothing though somebody meant them to. */
async function tellLost(
  { control, log }: OperationContext,
  fates: readonly AlertFate[],
  truncatedAlerts: number,
): Promise<void> {
  const refused = fates.filter(({ fate }) => fate === 'refused');
  if (refused.length === 0 && truncatedAlerts === 0) return;
  const reasons = [
    ...new Set(
      refused.map(({ name, reason: why }) => shorten(`${name || 'an alert'}: ${why}`, REASON_LENGTH)),
    ),
  ];
  const lines = [
    ...reasons.slice(0, LINES),
    ...(reasons.length > LINES ? [`and ${reasons.length - LINES} more reasons`] : []),
    ...(truncatedAlerts > 0
      ? [
          `Alertmanager left out ${countOf(truncatedAlerts, 'alert')}: raise max_alerts in its webhook_configs`,
        ]
      : []),
  ];
  const code = 'alerts-refused';
  log.warn({ code, refused: refused.length, truncatedAlerts, reasons: lines }, lines.join('; '));
  const lost = refused.length + truncatedAlerts;
  await notify(
    control,
    {
      kind: 'alert',
      title: `${countOf(lost, 'alert')} killed nothing, or not all that ${lost === 1 ? 'it names' : 'they name'}`,
      lines,
      details: { refused: refused.length, truncatedAlerts },
    },
    shorten(`${code}:${reasons.join('|')}:${truncatedAlerts > 0}`, 1_000),
    TOLD_AGAIN_MS,
  );
}

/** Tells people of a call that could not be read at all. */
async function tellUnread(
  { control, log }: OperationContext,
  error: PortcullisError,
  caller: TokenHolder | undefined,
): Promise<void> {
  if (!caller || !mayDo({ ...caller, regions: null }, 'send-alerts').allowed) return;
  const line = shorten(`${caller.name}: ${error.message}`, REASON_LENGTH);
  log.warn({ code: 'alerts-unread', caller: caller.name }, line);
  await notify(
    control,
    {
      ...{ kind: 'alert', title: 'A call of Alertmanager could not be read; it killed nothing' },
      lines: [line, 'See which alerts fire in Alertmanager, and kill by hand: portcullis kill JOB'],
      details: { code: error.code },
    },
    `alerts-unread:${caller.name}:${error.code}`,
    TOLD_AGAIN_MS,
  );
}

function refuseFor(fates: readonly AlertFate[], truncatedAlerts: number, fate: 'failed' | 'refused'): void {
  const of = fates.filter((each) => each.fate === fate);
  if (of.length === 0) return;
  const told = of.slice(0, LINES).map(({ name, reason: why }) => `${name || 'an alert'}: ${why}`);
  if (of.length > LINES) told.push(`and ${of.length - LINES} more`);
  throw new PortcullisError(fate === 'failed' ? 'ALERT_UNHANDLED' : 'ALERT_REFUSED', told.join('\n'), {
    hint:
      fate === 'refused'
        ? 'correct the labels of the alerting rule, or give Alertmanager a token that may kill there'
        : 'send it again: what has not taken hold is done then',
    details: { alerts: fates, truncatedAlerts },
  });
}
