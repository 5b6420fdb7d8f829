import { z } from 'zod';
import { pageOfList } from '../postgres/page.js';
import type { FlagView } from '../flags/flag-desk.js';
import type { OperationFlags } from './context.js';
import { operation } from './operation.js';
import { FlagChange, FlagPage, FlagSet } from './gate-schemas.js';
import { jobQuery, namePath, pageQuery, regionQuery } from './schemas.js';

export const flagOperations = {
  listFlags: operation({
    at: 'GET /api/v1/flags',
    example: { job: 'dormant-cleanup' },
    summary:
      'Flags by job and region as their source has them, each with what this process would answer a gate now',
    action: 'read',
    query: z.strictObject({ ...pageQuery, job: jobQuery, region: regionQuery }),
    result: FlagPage,
    run: async ({ flags }, { job, region, ...page }) => {
      const all = await flags.list();
      const wanted = all.filter(
        (flag) => (job ?? flag.job) === flag.job && (region ?? flag.region) === flag.region,
      );
      const { items, next } = pageOfList(wanted, page, (flag) => [flag.job, flag.region]);
      return {
        items: items.map((flag) => ({ ...flag, ...answerNow(flags, flag) })),
        next,
        source: flags.source(),
      };
    },
  }),
  setFlag: operation({
    at: 'POST /api/v1/flags/:job/:region',
    example: {
      job: 'dormant-cleanup',
      region: 'eu-west-1',
      enabled: false,
      reason: 'support asked for a pause',
    },
    summary: 'Sets a flag; every process hears of it',
    action: 'set-flag',
    params: z.strictObject({ job: namePath, region: namePath }),
    body: FlagChange,
    result: FlagSet,
    errors: [
      'JOB_UNKNOWN',
      'REGION_UNKNOWN',
      'POLICY_MISSING',
      'POLICY_INVALID',
      'FLAG_CHANGE_INVALID',
      'FLAG_REVISION_STALE',
      'ADMISSION_EXCEEDED',
      'FLAGS_ELSEWHERE',
      'AUDIT_ENTRY_INVALID',
    ],
    run: ({ flags }, { job, region, enabled, variants, reason, ifRevision }, caller) =>
      flags.set({
        job,
        region,
        ...(enabled !== undefined && { enabled }),
        ...(variants !== undefined && { variants }),
        ...(ifRevision !== undefined && { ifRevision }),
        reason,
        changedBy: caller.name,
      }),
  }),
};

function answerNow(flags: OperationFlags, { name }: FlagView) {
  const answer = flags.look(name);
  return answer.open
    ? { open: true, closedCode: null, closedReason: null }
    : { open: false, closedCode: answer.code, closedReason: answer.reason };
}
