import { aloneDue } from '../access/alone.js';
import { ALONE } from '../access/approvals.js';
import { startPoller, type Poller } from '../kernel/poller.js';
import { messageOf } from '../kernel/errors.js';
import type { Installation } from '../cli/app-port.js';
import { tellApprovedAlone } from '../notify/tell-alone.js';
import { rolloutSources } from '../regions/rollout-sources.js';
import { decideRequest } from '../rollout/decide-request.js';
import type { Log } from '../telemetry/log.js';

const LOOK_MS = 2_000;

/** Approves the requests whose delay is over and that nobody cancelled, for as long as this process is a control plane. */
export function startAlone(
  { control, regionDatabases, jobs }: Pick<Installation, 'control' | 'regionDatabases' | 'jobs'>,
  log: Log,
  flagsAt: string | undefined,
): Poller {
  const failed = new Map<string, string>();
  const approve = async (id: string): Promise<void> => {
    try {
      const approved = await decideRequest(
        rolloutSources(control, regionDatabases, jobs),
        (region) => regionDatabases.of(region).owner,
        () => regionDatabases.all().map(({ owner }) => owner),
        id,
        ALONE,
        'approve',
        flagsAt,
      );
      log.warn({ code: 'approved-alone', request: id }, approved.caution ?? '');
      await tellApprovedAlone(control, approved);
    } catch (error) {
      // It is tried again until it expires; said once.
      const why = messageOf(error);
      if (failed.get(id) !== why) log.error({ code: 'alone-failed', request: id, err: error }, why);
      failed.set(id, why);
    }
  };
  return startPoller(
    LOOK_MS,
    async () => {
      for (const id of await aloneDue(control)) await approve(id);
    },
    (error) => log.error({ code: 'alone-unread', err: error }, `approvals: ${messageOf(error)}`),
  );
}
