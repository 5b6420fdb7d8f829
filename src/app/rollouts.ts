import type { Installation } from '../cli/app-port.js';
import { flagName } from '../flags/definition.js';
import { startPoller, type Poller } from '../kernel/poller.js';
import { messageOf } from '../kernel/errors.js';
import { rolloutSources } from '../regions/rollout-sources.js';
import type { Tripwire } from '../containment/tripwire.js';
import type { AdvancePorts } from '../rollout/advance.js';
import { ANNOUNCE_MS, announceVersions, withdrawWorker, type Announcement } from '../rollout/announce.js';
import { keepAdvancing } from '../rollout/keep-advancing.js';
import { measuresOf } from '../rollout/measures.js';
import type { UnitsOf } from '../rollout/read-evidence.js';
import { stopVersion } from '../rollout/stop-version.js';
import { approvalsWaiting } from '../rollout/wave-approval.js';
import type { PlacedJob } from '../worker/worker.js';
import type { Flags, WorkerContext } from '../worker/platform.js';

/** What moving rollouts takes, on an installation. */
function advancePorts({ control, regionDatabases, jobs }: Installation, trips: Tripwire): AdvancePorts {
  const sources = rolloutSources(control, regionDatabases, jobs);
  return {
    ...sources,
    unitsOf: remembered(sources.unitsOf),
    trip: (fault) =>
      stopVersion({ control, ownerOf: (region) => regionDatabases.of(region).kills }, trips, fault),
  };
}

const LOOK_MS = 1_000;

/** Counting a region's units reads a table; an approval that waits is weighed with every look. */
const COUNTED_MS = 60_000;

function remembered(unitsOf: UnitsOf): UnitsOf {
  const counts = new Map<string, { readonly at: number; readonly units: ReturnType<UnitsOf> }>();
  return (job, region) => {
    const key = `${job} ${region}`;
    const known = counts.get(key);
    if (known !== undefined && performance.now() - known.at < COUNTED_MS) return known.units;
    const units = unitsOf(job, region);
    counts.set(key, { at: performance.now(), units });
    return units;
  };
}

/** Moves rollouts for as long as this process is a control plane. */
export function startRollouts(installation: Installation, { metrics, log, trips }: WorkerContext): Poller {
  const said = new Map<string, string>();
  return keepAdvancing(advancePorts(installation, trips), {
    everyMs: LOOK_MS,
    onRound: async (looked) => {
      for (const { rollout, decision } of looked) {
        const { id, job, version } = rollout;
        const says = `${decision.action}: ${decision.reason}`;
        // A bake's figures change all the time; what matters is in the history.
        if (decision.action !== 'wait' && said.get(id) !== says) {
          log.info({ code: `rollout-${decision.action}`, job, version, rollout: id }, decision.reason);
        }
        said.set(id, says);
      }
      const now = new Date();
      metrics.rollouts(
        looked.map((each) => measuresOf(each, now)),
        await approvalsWaiting(installation.control),
      );
    },
    onError: (error) => {
      log.error({ code: 'rollout-error', err: error }, `rollout: ${messageOf(error)}`);
    },
  });
}

/** Announces what this process can run, again and again until it is stopped. */
export async function startAnnouncing(
  { control }: Installation,
  { worker, flags, log }: WorkerContext,
  served: () => readonly PlacedJob[],
): Promise<Poller> {
  const announce = (): Promise<void> =>
    announceVersions(
      control,
      worker,
      served().map((each) => announcementOf(each, flags)),
    );
  const onError = (error: unknown): void => {
    log.error({ code: 'version-unannounced', err: error }, `announcing: ${messageOf(error)}`);
  };
  await announce().catch(onError);
  const announcing = startPoller(ANNOUNCE_MS, announce, onError, { restFirst: true });
  return {
    stop: async () => {
      await announcing.stop();
      await withdrawWorker(control, worker).catch(() => undefined);
    },
  };
}

function announcementOf({ job, policy, regions }: PlacedJob, flags: Flags): Announcement {
  const heard = regions.flatMap((region) => {
    const answer = flags.look(flagName(policy.job, region));
    const revision = answer.open ? answer.definition.revision : answer.revision;
    return revision === undefined ? [] : [[region, revision] as const];
  });
  return { job: policy.job, version: job.version, regions, flagRevisions: Object.fromEntries(heard) };
}
