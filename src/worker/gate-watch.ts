import { flagName, type FlagAnswer } from '../flags/definition.js';
import type { Policy } from '../flags/policy.js';
import { UNCONFIRMED, type Gate } from '../gate/decide.js';
import { breakGlassEnded } from '../gate/fence.js';
import { reconcileGate } from '../gate/permit.js';
import type { Epochs } from './apply-phase.js';
import type { Run } from '../runs/election.js';
import type { StopCause } from './lease-keeper.js';
import type { Platform } from './platform.js';

/** How often the flag is looked at, in memory: news must be in force within a second. */
const LOOK_MS = 200;
/** How often the gate itself is asked, in the database: a kill must reach a run that is still planning. */
const GATE_MS = 1_000;

/**
 * Watches a run's flag for as long as the run is under way: carries news of it to the gate at once, renews
 * the permit, and stops the run when the gate closes or the flag no longer admits the run. A flag
 * that has gone silent stops the run too: without a fresh yes, this process writes nothing more. Answers the
 * way to end the watch, which waits for news that is on its way to the gate.
 */
export function watchGate(
  platform: Platform,
  policy: Policy,
  run: Run,
  admitted: Epochs,
  stop: (cause: StopCause) => void,
): () => Promise<void> {
  const flag = flagName(run.job, run.region);
  let seen = standingOf(platform.flags.look(flag));
  let askedAt = performance.now();
  let looking: Promise<void> | undefined;
  const carry = async (answer: FlagAnswer): Promise<void> => {
    try {
      const { gate } = await reconcileGate(
        platform.region,
        run.job,
        run.region,
        () => answer,
        policy.permitMs,
      );
      seen = standingOf(answer);
      if (gate.state !== 'killed' && !gate.databaseConfirmed) {
        // As the fence says it: whichever of the two notices a failover first, the run has one reason.
        stop({ why: 'gate', ...UNCONFIRMED });
      } else if (gate.state === 'killed' || (gate.state === 'held' && !hasLost(answer, run, admitted))) {
        stop({ why: 'gate', code: `gate-${gate.state}`, reason: gate.reason });
      } else if (
        gate.state === 'held' ||
        gate.epoch !== admitted.gate ||
        (gate.versionEpochs[run.version] ?? 0) !== admitted.version
      ) {
        stop({ why: 'gate', ...lossOf(gate, answer, run, admitted) });
      }
    } catch {
      // The database is away. Tried again at the next look; meanwhile the fence has the last word.
    }
    if (!answer.open) {
      // A gate that could not be asked tells nothing of why.
      stop({ why: 'gate', code: answer.code, reason: answer.reason });
    }
  };
  const timer = setInterval(() => {
    const answer = platform.flags.look(flag);
    const due = performance.now() - askedAt >= GATE_MS;
    if (looking !== undefined || (standingOf(answer) === seen && !due)) return;
    askedAt = performance.now();
    looking = carry(answer).finally(() => (looking = undefined));
  }, LOOK_MS);
  return async () => {
    clearInterval(timer);
    await looking;
  };
}

/** Whether the break-glass that a run rests on is not in force any more. */
function hasLost(answer: FlagAnswer, { version }: Run, { breakGlass }: Epochs): boolean {
  if (breakGlass === null) return false;
  const now = answer.open ? answer.definition.admission?.breakGlass?.get(version) : undefined;
  return now?.id !== breakGlass && (answer.open || answer.code === 'version-not-admitted');
}

/** Why a run that was admitted has lost that behind an open gate. */
function lossOf(
  gate: Gate,
  answer: FlagAnswer,
  run: Run,
  admitted: Epochs,
): { readonly code: string; readonly reason: string } {
  const quarantined = gate.quarantined[run.version];
  if (quarantined !== undefined) return { code: 'version-quarantined', reason: quarantined };
  if (hasLost(answer, run, admitted)) {
    return { code: 'break-glass-ended', reason: breakGlassEnded(admitted.until) };
  }
  return { code: 'gate-narrowed', reason: 'the flag no longer admits this run' };
}

function standingOf(answer: FlagAnswer): string {
  if (!answer.open) return answer.code;
  const { revision, admission } = answer.definition;
  const breakGlass = [...(admission?.breakGlass ?? [])].map(([version, { id }]) => `${version} ${id}`);
  return `open ${revision} ${admission?.revision ?? ''} ${breakGlass.join()}`;
}
