import type { FlagView } from '../flags/flag-desk.js';
import { HOLD } from '../flags/definition.js';
import type { GateView } from '../gate/browse-gates.js';

const GUARD = 'guard:';

/** A reason as it stands beside who gave it: a rule of the guard begins its reason with its name, and is named once. */
export function reasonBeside(by: string | null, reason: string): string {
  if (by?.startsWith(GUARD) !== true) return reason;
  const named = `${by.slice(GUARD.length)}: `;
  return reason.startsWith(named) ? reason.slice(named.length) : reason;
}

/** The state now, why, and since when. */
export interface Standing {
  readonly state: 'open' | 'held' | 'killed' | 'expired' | 'unreachable';
  /** Empty where it is open: there is nothing to explain. */
  readonly why: string;
  /** ISO 8601 in UTC; null where that is not known. */
  readonly since: string | null;
}

/** The same of one version. */
export interface VersionStanding {
  readonly version: string;
  /** Thousandths that are in force: what the flag gives, down to what the version is admitted to. */
  readonly permille: number;
  /** Why that is less than the flag asks for; null where it is not. */
  readonly beyond: string | null;
  readonly state: Standing['state'] | 'quarantined' | 'unserved' | 'not-admitted';
  readonly why: string;
  readonly since: string | null;
}

/** Why nothing, or something, of a job may write in a region now. Pure. */
export function standingOf(gate: GateView | null, unreachable: string | null): Standing {
  if (unreachable !== null) return { state: 'unreachable', why: unreachable, since: null };
  if (gate === null) return { state: 'held', why: 'No worker serves this region', since: null };
  if (gate.state === 'killed') {
    const what = gate.stopped ? 'everything was stopped' : 'killed';
    const why = `${what} by ${gate.killedBy ?? 'nobody known'}: ${reasonBeside(gate.killedBy, gate.reason)}`;
    return { state: 'killed', why, since: gate.killedAt };
  }
  if (gate.state === 'held') return { state: 'held', why: gate.reason, since: gate.changedAt };
  if (gate.permits) return { state: 'open', why: '', since: gate.changedAt };
  return gate.permitUntil === null
    ? { state: 'held', why: 'never permitted', since: gate.changedAt }
    : { state: 'expired', why: 'permit expired: no worker renews it', since: gate.permitUntil };
}

/**
 * The versions with a share, by the flag, or where the flag is not known by what the gate last heard; each with what
 * holds it: the region first, and then what is its own. Pure.
 */
export function versionStandings(
  region: Standing,
  gate: GateView | null,
  flag: Pick<FlagView, 'variants' | 'beyond'> | null,
  isServed: (version: string) => boolean,
): VersionStanding[] {
  const quarantined = new Map((gate?.quarantined ?? []).map((each) => [each.version, each]));
  const shares = (flag ?? gate ?? { variants: [] }).variants.filter(({ version }) => version !== HOLD);
  return shares.map(({ version, permille }) => {
    const beyond = flag?.beyond.find((each) => each.version === version);
    const own = { version, permille: beyond?.admitted ?? permille, beyond: beyond?.reason ?? null };
    const quarantine = quarantined.get(version);
    if (quarantine && region.state !== 'killed' && region.state !== 'unreachable') {
      const { by, reason, at } = quarantine;
      return { ...own, state: 'quarantined', why: `by ${by}: ${reasonBeside(by, reason)}`, since: at };
    }
    if (region.state === 'open' && beyond?.admitted === 0) {
      return { ...own, state: 'not-admitted', why: beyond.reason, since: null };
    }
    if (region.state === 'open' && !isServed(version)) {
      return { ...own, state: 'unserved', why: 'no worker that runs now has it', since: null };
    }
    return { ...own, ...region };
  });
}
