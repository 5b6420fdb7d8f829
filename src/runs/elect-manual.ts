import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { elect, type Run, type SlotClaim } from './election.js';

/** An election is lost without a run to blame when that run ended in the same moment. */
const ELECTIONS = 3;

/** Elects a run for now. Throws RUN_ACTIVE where one of the same version is under way. */
export async function electManual(pool: pg.Pool, claim: Omit<SlotClaim, 'trigger' | 'slot'>): Promise<Run> {
  const { job, region } = claim;
  for (let attempt = 1; attempt <= ELECTIONS; attempt += 1) {
    const election = await elect(pool, { ...claim, trigger: 'manual' });
    if (election.elected) return election.run;
    if (election.activeRun !== undefined) throw runActive(job, region, election.activeRun);
  }
  throw runActive(job, region, undefined);
}

function runActive(job: string, region: string, activeRun: string | undefined): PortcullisError {
  const which = activeRun === undefined ? 'another run' : `run ${activeRun.slice(0, 8)}`;
  return new PortcullisError('RUN_ACTIVE', `${which} of ${job} is active in ${region}`, {
    hint:
      activeRun === undefined
        ? 'try again'
        : `wait for it (portcullis run show ${activeRun.slice(0, 8)}); if its worker is gone, ` +
          `portcullis worker --regions ${region} finishes it`,
    details: { job, region, ...(activeRun !== undefined && { activeRun }) },
  });
}
