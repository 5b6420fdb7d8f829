import { listFlags, type FlagState } from '../flags/flag-store.js';
import type { Policy } from '../flags/policy.js';
import { openWishes, type KillWish } from '../gate/kill-wish.js';
import type { GateView } from '../gate/browse-gates.js';
import type { UnreachablePlane } from '../planes/ask-planes.js';
import { listGatesOf } from '../planes/browse.js';
import { listRuns, type RunView } from '../scheduler/browse-runs.js';
import { nthSlot } from '../scheduler/slots.js';
import { databaseTime } from '../store/database-clock.js';
import type { Installation } from './app-port.js';

/** Where a job stands. Times are ISO 8601 in UTC. */
export interface JobStatus {
  readonly job: string;
  /** The version that is installed here; null for a job that is not. */
  readonly version: string | null;
  /** Cron in UTC; null where no policy schedules the job. */
  readonly schedule: string | null;
  readonly nextSlot: string | null;
  readonly regions: readonly RegionStatus[];
}

export interface RegionStatus {
  readonly region: string;
  /** Null where there is none, which is closed. */
  readonly flag: FlagState | null;
  /** Null where no worker has ever looked at it, which is held. */
  readonly gate: GateView | null;
  /** The newest run, dry runs included. */
  readonly lastRun: RunView | null;
  /** Why the region's database could not be asked; then gate and last run are unknown. Null where it answered. */
  readonly unreachable: string | null;
  /** A kill that has not reached the gate yet. */
  readonly killWish: KillWish | null;
}

/** The most gates that one page has. */
const PAGE = 200;

/** Every job that has a policy, a flag or a gate, or is installed, with every region of each. */
export async function readStatus(
  { control, planes, jobs }: Installation,
  policies: readonly Policy[],
): Promise<JobStatus[]> {
  const [now, flags, wishes, { gates, unreachable }] = await Promise.all([
    databaseTime(control),
    listFlags(control),
    openWishes(control),
    allGates(planes),
  ]);
  const away = new Map(unreachable.map(({ database, reason }) => [database, reason]));
  const names = new Set([
    ...jobs.map(({ definition }) => definition.name),
    ...[...policies, ...flags, ...gates].map(({ job }) => job),
  ]);
  return Promise.all(
    [...names].sort().map(async (job): Promise<JobStatus> => {
      const policy = policies.find((each) => each.job === job);
      const of = <T extends { job: string; region: string }>(all: readonly T[]): Map<string, T> =>
        new Map(all.filter((each) => each.job === job).map((each) => [each.region, each]));
      const [flagOf, gateOf] = [of(flags), of(gates)];
      const regions = new Set([...(policy?.regions ?? []), ...flagOf.keys(), ...gateOf.keys()]);
      return {
        job,
        version: jobs.find(({ definition }) => definition.name === job)?.version ?? null,
        schedule: policy?.schedule ?? null,
        nextSlot: (policy && nthSlot(policy.schedule, 1, now)?.toISOString()) ?? null,
        regions: await Promise.all(
          [...regions].map(async (region): Promise<RegionStatus> => {
            const plane = planes.of(region);
            const silent = away.get(plane.name) ?? null;
            const lastRun =
              silent === null
                ? ((await listRuns(plane.worker, { job, region }, { limit: 1 })).items[0] ?? null)
                : null;
            return {
              region,
              flag: flagOf.get(region) ?? null,
              gate: gateOf.get(region) ?? null,
              lastRun,
              unreachable: silent,
              killWish: wishes.find((each) => each.job === job && each.region === region) ?? null,
            };
          }),
        ),
      };
    }),
  );
}

async function allGates(
  planes: Installation['planes'],
): Promise<{ gates: GateView[]; unreachable: readonly UnreachablePlane[] }> {
  const gates: GateView[] = [];
  const away = new Map<string, UnreachablePlane>();
  let cursor: string | undefined;
  do {
    const page = await listGatesOf(planes, {}, { limit: PAGE, cursor });
    gates.push(...page.items);
    for (const plane of page.unreachable) away.set(plane.database, plane);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return { gates, unreachable: [...away.values()] };
}
