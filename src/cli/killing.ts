import { setTimeout } from 'node:timers/promises';
import type { Principal } from '../access/roles.js';
import { PortcullisError } from '../kernel/errors.js';
import { unknownName, requireRegion } from '../kernel/unknown-name.js';
import { INSTALLED } from '../kernel/version-named.js';
import { within } from '../kernel/within.js';
import { gatesOf } from '../containment/gates-of.js';
import type { FailedKill, KillReach, KillRequest } from '../containment/kill.js';
import { heldWishes } from '../containment/pending-kill.js';
import { carryOutWishes, killWithIncident, type KillWithIncident } from '../containment/kill-incident.js';
import { announcedVersions, versionToKill } from '../rollout/announce.js';
import { isUnreachable } from '../postgres/pool.js';
import { actingPrincipal, localPrincipal } from './acting.js';
import type { Installation } from './app-port.js';
import type { OpeningContext } from './context.js';

/** How long the control database may take to answer what a kill asks of it. */
const CONTROL_MS = 5_000;

/** What the control database answers; silence counts as its being unreachable. */
async function askControl<T>(ask: () => Promise<T>): Promise<T> {
  return within(
    CONTROL_MS,
    ask,
    () =>
      new PortcullisError(
        'DATABASE_UNREACHABLE',
        `the control database did not answer within ${CONTROL_MS / 1_000} s`,
      ),
  );
}

/** SQLSTATEs of a table or schema that is not there. */
const NO_SCHEMA = new Set(['42P01', '3F000']);

function hasNoSchema(error: unknown): boolean {
  return NO_SCHEMA.has(String((error as { code?: unknown } | null)?.code));
}

/**
 * As whom to kill, and whether the control database was asked. Without it nobody's token can be looked up: then it is
 * the person at the keyboard, who has the logins of the regions' databases.
 */
export async function killingPrincipal(
  context: OpeningContext,
  installation: Installation,
): Promise<{ readonly principal: Principal; readonly asked: boolean }> {
  try {
    return { principal: await askControl(() => actingPrincipal(context, installation)), asked: true };
  } catch (error) {
    if (!isUnreachable(error) && !hasNoSchema(error)) throw error;
    return { principal: localPrincipal(), asked: false };
  }
}

/**
 * The regions of every job: as the control database has them; without it, as the policy files do. No region's own
 * database is asked, for it may be the one that is away.
 */
export async function killable({
  control,
  flagsFolder,
  database,
}: Installation): Promise<Map<string, string[]>> {
  try {
    return await askControl(() => gatesOf(control));
  } catch (error) {
    if (hasNoSchema(error)) {
      throw new PortcullisError(
        'NOTHING_REACHED',
        `nothing was stopped: ${database} has no Portcullis schema`,
        {
          hint: 'set PORTCULLIS_DATABASE_URL, or PORTCULLIS_HOME, to the installation that you mean',
          details: { database },
          cause: error,
        },
      );
    }
    if (!isUnreachable(error)) throw error;
    const { readPolicies } = await import('../flags/policy.js');
    const files = await readPolicies(flagsFolder);
    return new Map(files.map(({ policy: { job, regions } }) => [job, [...regions]]));
  }
}

/** The regions that a kill is meant for. Throws JOB_UNKNOWN or REGION_UNKNOWN with the nearest name. */
export async function regionsToKill(
  installation: Installation,
  job: string,
  region: string | undefined,
): Promise<readonly string[]> {
  const known = await killable(installation);
  const regions = known.get(job) ?? [];
  if (regions.length === 0) {
    const installed = (await installation.installed()).map(({ definition }) => definition.name);
    if (!installed.includes(job))
      throw unknownName('JOB_UNKNOWN', 'job', job, [...new Set([...known.keys(), ...installed])]);
  }
  if (region === undefined) return regions;
  requireRegion(region, regions);
  return [region];
}

/**
 * The version that a kill is meant for: `installed` for the one that is installed, or what was announced, as
 * `versionToKill` finds it. Without the control database, of those that are installed. Throws VERSION_UNKNOWN.
 */
export async function versionMeant(
  installation: Pick<Installation, 'control' | 'installed'>,
  job: string,
  meant: string,
): Promise<string> {
  const { versionOf } = await import('../worker/registry.js');
  const jobs = (await installation.installed()).filter(({ definition }) => definition.name === job);
  const installed = await Promise.all(jobs.map(versionOf));
  const [current] = installed;
  if (meant === INSTALLED && current !== undefined) return current;
  const announced = await askControl(() => announcedVersions(installation.control, job)).catch(
    (error: unknown) => {
      if (!isUnreachable(error) && !hasNoSchema(error)) throw error;
      return [];
    },
  );
  const known = new Set([...announced.map(({ version }) => version), ...installed]);
  return versionToKill(job, meant, [...known]);
}

const TRY_AGAIN_MS = 1_000;

/** A kill that was tried for as long as it took, and the regions where another process was faster. */
export interface KillInTheEnd extends KillWithIncident {
  readonly killedByOthers: readonly string[];
}

export interface Killing {
  readonly request: KillRequest;
  readonly principal: Principal;
  readonly reach: KillReach;
}

/**
 * Tries again what a kill could not reach, until all of it is killed, by this process or another, or told to
 * stop. Answers the report as it is then.
 */
export async function killUntilHeld(
  { control, regionDatabases }: Installation,
  { request, principal, reach }: Killing,
  report: KillWithIncident,
  signal: AbortSignal,
  onTry: (failed: readonly FailedKill[]) => void,
): Promise<KillInTheEnd> {
  const ownerOf = (region: string) => regionDatabases.of(region).owner;
  let now: KillInTheEnd = { ...report, killedByOthers: [] };
  while (now.failed.length > 0 && !signal.aborted) {
    onTry(now.failed);
    if (!(await setTimeout(TRY_AGAIN_MS, true, { signal }).catch(() => false))) break;
    now = await tryAgain(now);
  }
  return now;

  async function tryAgain(before: KillInTheEnd): Promise<KillInTheEnd> {
    const wished = before.failed.flatMap(({ wish }) => (wish === null ? [] : [wish]));
    const unwished = before.failed.filter(({ wish }) => wish === null).map(({ region }) => region);
    const again =
      unwished.length > 0
        ? await killWithIncident(control, ownerOf, { ...request, regions: unwished }, principal, reach)
        : undefined;
    try {
      const done = wished.length > 0 ? await carryOutWishes(control, ownerOf, wished, reach) : [];
      const held = await heldWishes(control, wished);
      const killed = [...(again?.killed ?? []), ...done.flatMap((each) => each.killed)];
      const over = before.failed.filter(({ wish }) => wish !== null && held.includes(wish));
      const others = over.filter(({ region }) => !killed.some((each) => each.region === region));
      return {
        ...before,
        incident: before.incident ?? again?.incident ?? null,
        killed: [...before.killed, ...killed],
        killedByOthers: [...before.killedByOthers, ...others.map(({ region }) => region)],
        failed: [
          ...before.failed.filter((each) => each.wish !== null && !over.includes(each)),
          ...(again?.failed ?? []),
        ],
      };
    } catch (error) {
      // The control database is away now. The pending kill stands there, and whoever reaches it first carries it out.
      if (!isUnreachable(error)) throw error;
      return before;
    }
  }
}
