import { z } from 'zod';
import { requireMay } from '../../access/roles.js';
import { PortcullisError } from '../../base/errors.js';
import { loadPolicies } from '../../flags/policy-store.js';
import { FATES, receiveAlert, type AlertFate, type Fate } from '../../guard/bake/alerts.js';
import type { HttpDeps } from '../deps.js';
import { callerOf, route, type Route } from '../route.js';
import { named } from '../schemas.js';

const MOST_ALERTS = 200;

const labels = z.record(z.string().max(1_000), z.string().max(10_000));

/** What we read of it; Alertmanager sends more. */
const AlertBatch = named(
  'AlertBatch',
  z.looseObject({
    version: z.literal('4'),
    alerts: z
      .array(
        z.looseObject({
          status: z.enum(['firing', 'resolved']),
          fingerprint: z.string().min(1).max(100),
          startsAt: z.iso.datetime({ offset: true }),
          labels: labels.describe('portcullis_job and portcullis_region say what to kill'),
          annotations: labels.default({}),
        }),
      )
      .min(1)
      .max(MOST_ALERTS),
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
  }),
);

/** What Alertmanager's webhook posts to. */
export function alertRoutes({ control, dropGate }: HttpDeps): Route[] {
  return [
    route({
      method: 'post',
      path: '/api/v1/hooks/alertmanager',
      operationId: 'receiveAlerts',
      summary: "Kills what firing alerts name, once each; Alertmanager's webhook, version 4",
      action: 'send-alerts',
      // Each alert names its own.
      regionOf: 'handler',
      body: AlertBatch,
      result: AlertFates,
      errors: ['ALERT_REFUSED', 'ALERT_UNHANDLED'],
      handle: async ({ body, caller }) => {
        const loaded = await loadPolicies(control);
        const policies = new Map(
          loaded.flatMap((each) => (each.ok ? [[each.job, each.policy] as const] : [])),
        );
        const requireHere = (region: string): void => requireMay(callerOf(caller), 'send-alerts', region);
        const desk = { control, policies, dropGate, requireMay: requireHere };
        const fates: AlertFate[] = [];
        for (const alert of body.alerts) fates.push(await receiveAlert(desk, alert));
        // What must be sent again goes before what need not.
        refuseFor(fates, 'failed', 'ALERT_UNHANDLED');
        refuseFor(fates, 'refused', 'ALERT_REFUSED');
        return { alerts: fates };
      },
    }),
  ];
}

function refuseFor(fates: readonly AlertFate[], fate: Fate, code: 'ALERT_UNHANDLED' | 'ALERT_REFUSED'): void {
  const of = fates.filter((each) => each.fate === fate);
  if (of.length === 0) return;
  throw new PortcullisError(code, of.map(({ name, reason }) => `${name}: ${reason}`).join('\n'), {
    mend:
      code === 'ALERT_REFUSED'
        ? 'correct the labels of the alerting rule'
        : 'send it again: what has not taken hold is done then',
    details: { alerts: fates },
  });
}
