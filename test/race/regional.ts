import { afterAll } from '@jest/globals';
import type pg from 'pg';
import { setAdmittedFlag } from '../support/admissions.js';
import { parsePolicyFile } from '../../src/flags/policy.js';
import { applyPolicies } from '../../src/flags/policy-store.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { seedSampleWorld } from '../../src/demo/sample-world.js';
import { testDatabase, type TestDatabase } from '../support/database.js';
import { portcullis, temporaryFolder } from '../support/portcullis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { adminHome } from '../support/people.js';

/** A database that processes reach by a way which a test can cut. The test itself looks past it. */
export interface Reached {
  readonly owner: pg.Pool;
  readonly way: TcpProxy;
  /** The owner's URL by that way. */
  readonly url: string;
}

export interface RegionalWorld {
  readonly control: Reached;
  /** The regions, each with a database of its own. */
  readonly a: Reached & { readonly region: string };
  readonly b: Reached & { readonly region: string };
  readonly version: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * A control database and two regions' databases, each behind a way of its own; the sample world in both regions,
 * with flags on for the version that the program has. To be called once, at a test file's top level.
 */
export async function regionalWorld(policy: string): Promise<RegionalWorld> {
  const [a, b] = SAMPLE_REGIONS;
  const control = await reached(await testDatabase());
  const inA = { ...(await reached(await testDatabase())), region: a };
  const inB = { ...(await reached(await testDatabase())), region: b };
  // In the control plane's too: then every process answers the sample's names itself.
  for (const { owner } of [control, inA, inB])
    await seedSampleWorld(owner, { seed: 'race', now: new Date() });
  const text = `
job: domain-claim
schedule: '*/2 * * * * *'
regions:
  ${a}: { database: PORTCULLIS_DATABASE_URL_A }
  ${b}: { database: PORTCULLIS_DATABASE_URL_B }
guard: { caps: [] }
${policy}
`;
  const file = parsePolicyFile(text, 'regional.yaml');
  await applyPolicies(control.owner, [file], 'test');
  const env = {
    PORTCULLIS_DATABASE_URL: control.url,
    PORTCULLIS_DATABASE_URL_A: inA.url,
    PORTCULLIS_DATABASE_URL_B: inB.url,
    PORTCULLIS_HOME: await adminHome(control.owner),
    // Where the regions are while the control database is away.
    PORTCULLIS_FLAGS: await temporaryFolder({ 'regional.yaml': text }),
  };
  // The flags are still off, so nothing is written; it only tells which version the program has.
  const dry = ['run', 'domain-claim', '--region', a, '--dry-run', '--json'];
  const { stdout, stderr } = await portcullis(dry, { env }).finished;
  if (stdout === '') throw new Error(stderr);
  const { version } = JSON.parse(stdout) as { version: string };
  for (const region of [a, b]) {
    await setAdmittedFlag(control.owner, {
      ...{ job: 'domain-claim', region, enabled: true, variants: [{ version, permille: 1000 }] },
      ...{ reason: 'test', changedBy: 'test' },
    });
  }
  return { control, a: inA, b: inB, version, env };
}

async function reached({ owner, url }: TestDatabase): Promise<Reached> {
  const at = new URL(url);
  const way = new TcpProxy(at.hostname, Number(at.port));
  await way.open();
  afterAll(() => way.cut());
  at.hostname = '127.0.0.1';
  at.port = String(way.port);
  return { owner, way, url: at.toString() };
}
