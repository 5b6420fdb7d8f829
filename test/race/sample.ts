import { setAdmittedFlag } from '../support/admissions.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { seedSampleWorld } from '../../src/demo/sample-world.js';
import type { TestDatabase } from '../support/database.js';
import { FAR_SLOT } from '../support/far-slot.js';
import { portcullis } from '../support/portcullis.js';
import { adminHome } from '../support/people.js';

export interface SampleWorld {
  readonly database: TestDatabase;
  /** For processes that work in this world. */
  readonly env: Readonly<Record<string, string>>;
}

/** Long enough for a process on a machine that is busy with a lot else to renew it in time. */
const LEASE_S = 15;

/**
 * A sample world with every region's flag on for the version that the program has, leases and permits of
 * {@link LEASE_S}, the policy lines given, and no caps or rules unless told which. `directory.account_before` and
 * `domain_before` keep what it was.
 */
export async function sampleWorld(
  database: TestDatabase,
  policy: string,
  guard = '{ caps: [] }',
): Promise<SampleWorld> {
  const { owner } = database;
  await seedSampleWorld(owner, { seed: 'race', now: new Date() });
  await owner.query(`
    create table directory.account_before as select * from directory.account;
    create table directory.domain_before as select * from directory.domain`);
  const text = `
job: domain-claim
schedule: '${FAR_SLOT}'
regions: [${SAMPLE_REGIONS.join(', ')}]
lease: ${LEASE_S}s
permit: ${LEASE_S}s
guard: ${guard}
${policy}
`;
  await applyPolicies(owner, [parsePolicyFile(text, 'race.yaml')], 'test');
  const env = { PORTCULLIS_DATABASE_URL: database.url, PORTCULLIS_HOME: await adminHome(owner) };
  const [region] = SAMPLE_REGIONS;
  // The flag is still off, so nothing is written; it only tells which version the program has.
  const dry = ['run', 'domain-claim', '--region', region, '--dry-run', '--json'];
  const { version } = JSON.parse((await portcullis(dry, { env }).finished).stdout) as { version: string };
  for (const each of SAMPLE_REGIONS) {
    const variants = [{ version, permille: 1000 }];
    await setAdmittedFlag(owner, {
      job: 'domain-claim',
      region: each,
      enabled: true,
      variants,
      reason: 'test',
      changedBy: 'test',
    });
  }
  return { database, env };
}
