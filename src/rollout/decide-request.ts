import type pg from 'pg';
import { type Approval, type Decision, findApproval } from '../access/approvals.js';
import type { Principal } from '../access/roles.js';
import { rolloutElsewhere } from '../flags/flags-elsewhere.js';
import { decideRearm } from '../containment/rearm-approval.js';
import { BREAK_GLASS, type BreakGlassSources, decideBreakGlass } from './break-glass.js';
import { decideSkip, SKIP_BAKE } from './skip-bake.js';
import { BEGIN_WAVE, decideWave } from './wave-approval.js';

/**
 * Decides any request that this program knows how to carry out: a re-arm, a lifted quarantine, a rollout's next wave,
 * a bake that is skipped, or break-glass. Throws what these throw, and FLAGS_ELSEWHERE for the
 * approval of a wave or a skip where flags come from elsewhere: it would begin nothing.
 */
export async function decideRequest(
  sources: BreakGlassSources,
  ownerOf: (region: string) => pg.Pool,
  everyOwner: () => readonly pg.Pool[],
  id: string,
  principal: Principal,
  decision: Decision,
  flagsAt?: string,
  why?: string,
): Promise<Approval> {
  const { action } = await findApproval(sources.control, id);
  const { control } = sources;
  if (action === BREAK_GLASS) return decideBreakGlass(sources, id, principal, decision, why);
  const ofRollout = action === BEGIN_WAVE || action === SKIP_BAKE;
  if (ofRollout && decision === 'approve' && flagsAt !== undefined) throw rolloutElsewhere(flagsAt);
  if (action === SKIP_BAKE) return decideSkip(control, id, principal, decision, why);
  return action === BEGIN_WAVE
    ? decideWave(control, id, principal, decision, why)
    : decideRearm(control, ownerOf, everyOwner, id, principal, decision, why);
}
