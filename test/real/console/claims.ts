import { afterAll } from '@jest/globals';
import { parsePolicyFile } from '../../../src/flags/policy.js';
import { applyPolicies } from '../../../src/flags/policy-store.js';
import { elect } from '../../../src/runs/election.js';
import { executeRun } from '../../../src/worker/run-loop.js';
import { startWorker } from '../../../src/worker/worker.js';
import { claimEverything, seedAccounts } from '../../support/accounts.js';
import { loadTestJob, testPlatform, testPolicy } from '../../support/platform.js';
import { database, installed, owner } from './opened.js';

/** A job that really ran: for the screens of what it did, and of the way back. */

const platform = testPlatform(database);
afterAll(() => platform.planner.close());
const policy = testPolicy('claims', ['r1'], {
  guard: {
    ...{ onTrip: { restore: 'propose' as const }, prometheus: [], rules: [] },
    caps: [{ kind: 'claim', perRun: 30 }],
  },
});
/** What the job says of its changes, as text that a page must not take for markup. */
const runbook = new URL('../../../src/jobs/domain-claim/runbook.md', import.meta.url);
const job = await loadTestJob(platform, { ...claimEverything('claims'), runbook });
installed.push(job);

/** Its policy is in force, and five organisations have four accounts each that it would claim. */
export async function seedClaims(): Promise<void> {
  const file = `job: claims
schedule: '*/15 * * * *'
regions: [r1]
guard:
  rules:
    - { kind: count, name: claims-per-run, change: claim, alpha: 0.0001 }
`;
  await applyPolicies(owner, [parsePolicyFile(file, 'test.yaml')], 'test');
  await seedAccounts(owner, 'r1', 5, 4);
  platform.flags.open('claims', 'r1', { version: job.version, permille: 1000 });
}

/** One run, to its end: its id. */
export async function runOnce(): Promise<string> {
  const place = { job: 'claims', version: job.version, region: 'r1' };
  const elected = await elect(platform.region, {
    ...{ ...place, trigger: 'manual', worker: 'w', leaseMs: 20_000 },
  });
  if (!elected.elected) throw new Error(elected.why);
  const { signal } = new AbortController();
  await executeRun(platform, job, policy, elected.run, 'planning', { signal });
  return elected.run.id;
}

/** Waits for something that takes a worker of the region. */
export async function withWorker(wait: () => Promise<unknown>): Promise<void> {
  const worker = await startWorker(platform, [{ job, policy, regions: ['r1'] }], { sweepMs: 50 });
  try {
    await wait();
  } finally {
    await worker.stop();
  }
}
