import { parsePolicy, type Policy } from '#dist/flags/policy.js';
import type { Change, JobDefinition, PlanContext } from '#dist/sdk/contract.js';
import { versionOf, type InstalledJob } from '#dist/worker/registry.js';

/** What is read to plan a claim; the hand-written job reads the same. */
export const UNCLAIMED = `
  select id, selected_by as unit, state, organisation_id, claimed_at, email
  from directory.account
  where home_region = $1 and state = 'UNMANAGED' and selected_by is not null
  order by id`;

export interface Unclaimed {
  readonly id: string;
  readonly unit: string;
  readonly state: string;
  readonly organisation_id: string | null;
  readonly claimed_at: string | null;
  readonly email: string;
}

/** Gives each account to the organisation that selected it: the rows of domain-claim without its look-ups. */
export function claimJob(plan: (context: PlanContext) => AsyncIterable<Change> = claims): InstalledJob {
  const definition: JobDefinition = {
    name: 'bench-claim',
    version: '1.0.0',
    unit: { table: 'directory.organisation', key: 'id', region: 'home_region' },
    resources: {
      account: {
        table: 'directory.account',
        key: 'id',
        changes: ['state', 'organisation_id', 'claimed_at'],
        compares: ['email'],
        region: 'home_region',
      },
    },
    kinds: { claim: 'account' },
    plan,
  };
  return { definition, folder: new URL('.', import.meta.url), build: 'bench' };
}

/** The flag that lets the job act. */
export async function claimFlag(): Promise<{ job: string; version: string }> {
  const job = claimJob();
  return { job: job.definition.name, version: await versionOf(job) };
}

async function* claims({ rows, region, units, clock }: PlanContext): AsyncGenerator<Change> {
  const now = clock.now().toISOString();
  for await (const row of rows<{ [Column in keyof Unclaimed]: Unclaimed[Column] }>(UNCLAIMED, [region])) {
    if (units.has(row.unit)) yield claim(row, now);
  }
}

export function claim({ id, unit, ...before }: Unclaimed, now: string): Change {
  return {
    resource: 'account',
    key: id,
    before,
    after: { state: 'MANAGED', organisation_id: unit, claimed_at: now },
    kind: 'claim',
    unit,
    evidence: { consent: 'selected', by: unit },
  };
}

/** Batches and connections, the same on both sides. */
export const BATCH = 500;
export const LANES = 4;

/** As strict as a policy can be with every figure inside its cap, and long enough for the largest run. */
export function claimPolicy(regions: readonly string[], firstBatches: readonly number[]): Policy {
  return parsePolicy(
    `
      job: bench-claim
      schedule: '0 0 1 1 *'
      regions: [${regions.join(', ')}]
      permit: 10m
      lease: 1m
      apply: { lanes: ${LANES}, batch: ${BATCH}, firstBatches: [${firstBatches.join(', ')}] }
      guard:
        caps:
          - { kind: claim, perRun: 1000000, perUnit: 1000, shareOfRegion: 100% }`,
    'the policy of the bench',
  );
}

/** The first batches of the policy that Portcullis ships. */
export const FIRST_BATCHES = [10, 20, 50, 100];
