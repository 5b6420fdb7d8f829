import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { isoTime, named, word } from '../kernel/schema.js';
import { DASHBOARDS, dashboardUrl, type DashboardUid } from '../telemetry/dashboards.js';
import { operation } from './operation.js';
import { jobQuery } from './schemas.js';

export const dashboardOperations = {
  listDashboards: operation({
    at: 'GET /api/v1/dashboards',
    example: { job: 'dormant-cleanup', region: 'eu-west-1' },
    summary: "The links of this installation's Grafana dashboards, for a job, a region and a time",
    action: 'read',
    query: z.strictObject({
      job: jobQuery,
      region: word.optional().describe('only in this region'),
      from: isoTime.optional().describe('half an hour before it is shown too; absent: the last six hours'),
      to: isoTime.optional().describe('half an hour after it is shown too; absent: until now'),
    }),
    result: named(
      'Dashboards',
      z.strictObject({
        items: z
          .array(z.strictObject({ uid: z.string(), title: z.string(), url: z.string() }))
          .readonly()
          .describe('none where PORTCULLIS_GRAFANA_URL is not set'),
      }),
    ),
    run: ({ grafanaUrl }, { job, region, from, to }) => {
      const [fromMs, toMs] = [from, to].map((time) => (time === undefined ? undefined : Date.parse(time)));
      if (fromMs !== undefined && toMs !== undefined && fromMs > toMs) {
        throw new PortcullisError('REQUEST_INVALID', 'from is after to', {
          hint: 'give the earlier time as from',
        });
      }
      if (grafanaUrl === undefined) return { items: [] };
      const place = { job, regions: region === undefined ? [] : [region], fromMs, toMs };
      return {
        items: (Object.keys(DASHBOARDS) as DashboardUid[]).map((uid) => ({
          ...{ uid, title: DASHBOARDS[uid] },
          url: dashboardUrl(grafanaUrl, uid, place),
        })),
      };
    },
  }),
};
