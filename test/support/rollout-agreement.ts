import { expect } from '@jest/globals';
import type pg from 'pg';
import { verifyAudit } from '../../src/audit/verify.js';
import { rolloutEvents } from '../../src/rollout/rollout-store.js';
import type { Rolling } from './rolling.js';

/**
 * Shares by flags and by the rollout, and the number of steps on record, must tell one story. Once tripped, the
 * flags have nothing for the version any more, before the rollout says so.
 */
export async function expectAgreement(owner: pg.Pool, roll: Rolling, tripped = false): Promise<void> {
  const [{ id, parts, policy, version, status }, flags] = [await roll.rollout(), await roll.flags()];
  for (const { region, step, flagRevision } of parts) {
    const flag = flags.get(region);
    const share = flag?.variants.find((variant) => variant.version === version)?.permille ?? 0;
    const wave = policy.waves.find(({ regions }) => regions.includes(region));
    const stopped = tripped || status === 'aborted';
    expect(share).toBe(stopped || step < 0 ? 0 : wave?.stepsPermille[step]);
    if (!stopped && step >= 0) expect(flag?.revision).toBe(flagRevision);
  }
  const { rows } = await owner.query<{ n: number }>(
    `select count(*) as n from portcullis_control.audit where action like 'rollout-%' and evidence->>'rollout' = $1`,
    [id],
  );
  expect(rows[0]?.n).toBe((await rolloutEvents(owner, id, 100)).length);
  expect((await verifyAudit(owner)).ok).toBe(true);
}
