import { listFlags, type FlagState } from '../flags/flag-store.js';
import type { Policy } from '../flags/policy.js';
import { listGates, type GateView } from '../gate/browse-gates.js';
import { listRuns, type RunView } from '../scheduler/browse-runs.js';
import { nextSlot } from '../scheduler/slots.js';
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
}

/** The most gates that one page has. */
const PAGE = 200;

/** Every job that has a policy, a flag or a gate, or is installed, with every region of each. */
export async function readStatus(
  { control, region: regionPool, jobs }: Installation,
  policies: readonly Policy[],
): Promise<JobStatus[]> {
  const [flags, gates] = await Promise.all([listFlags(control), allGates(regionPool)]);
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
        nextSlot: (policy && nextSlot(policy.schedule)?.toISOString()) ?? null,
        regions: await Promise.all(
          [...regions].map(async (region) => ({
            region,
            flag: flagOf.get(region) ?? null,
            gate: gateOf.get(region) ?? null,
            lastRun: (await listRuns(regionPool, { job, region }, { limit: 1 })).items[0] ?? null,
          })),
        ),
      };
    }),
  );
}

async function allGates(pool: Installation['region']): Promise<GateView[]> {
  const gates: GateView[] = [];
  let cursor: string | undefined;
  do {
    const page = await listGates(pool, {}, { limit: PAGE, cursor });
    gates.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return gates;
}
