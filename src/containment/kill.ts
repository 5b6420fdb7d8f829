import type pg from 'pg';
import { requireMay, type Principal } from '../access/roles.js';
import { randomUUID } from 'node:crypto';
import { recordAudits } from '../audit/record.js';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { storable } from '../kernel/text.js';
import { within } from '../kernel/within.js';
import { isReadOnly } from '../postgres/read-only.js';
import { gatesOf } from './gates-of.js';
import { wishKill } from './pending-kill.js';
import { endKilledRuns, GRACE_MS, killGate, type Killed, killFreeGates } from './kill-gate.js';
import type { KillOrder } from './kill-order.js';
import { completeUnrecorded, moveKills, noteOf, type KeptKill } from './unrecorded-kill.js';

/** What to kill: a job in some regions, or one version of it everywhere. */
export interface KillRequest {
  readonly job: string;
  readonly regions: readonly string[];
  readonly version?: string;
  readonly restoresToo?: boolean;
  readonly reason: string;
  /** For practice: the gate is killed, and everything that is recorded or told of it says so. */
  readonly drill?: boolean;
}

/** Why to stop everything. */
export type StopRequest = Pick<KillRequest, 'reason' | 'drill'>;

/** A gate that a kill could not reach, and what was done about it. */
export interface FailedKill {
  readonly region: string;
  readonly reason: string;
  /** The pending kill that any process which can reach the gate carries out; null where it could not be recorded. */
  readonly wish: string | null;
  /** By when the last permit will have expired (ISO 8601); null where nobody can say. */
  readonly lapsesBy: string | null;
}

export interface KillReach {
  /** Where flags are, if not in the control database: see `wishKill`. */
  readonly flagsAt?: string | undefined;
  /** The regions of every job, for `stopEverything`; absent: as the control database has them. */
  readonly jobs?: ReadonlyMap<string, readonly string[]>;
  /** How long a region's database may take to answer. */
  readonly answerMs?: number;
  /**
   * The control database does not answer, and is not asked. Whoever serves puts the kill on record, opens its incident
   * and tells people once it does: see `recordLateKills`.
   */
  readonly withoutControl?: boolean;
}

/** Longer than any kill takes that gets through: the grace, and a connection that is slow to come. */
const ANSWER_MS = 10_000;

export interface KillReport {
  readonly job: string;
  readonly killed: readonly (Killed & { readonly runsEnded: readonly string[] })[];
  /** Where the kill has not taken hold, and why. */
  readonly failed: readonly FailedKill[];
  /** Why it is not on record yet; the kill holds all the same, and every process that serves goes on trying. */
  readonly unrecorded?: string;
}

/**
 * Pulls the switch: every region at once, first the gates, and only then the bookkeeping (runs ended, audit).
 * Nothing in the bookkeeping can undo or delay a kill. A gate that can't be reached keeps none of the others from
 * being killed; for it, the flag is revoked and the kill is left to whoever can reach it (`wishKill`). Throws
 * FORBIDDEN, and NOTHING_REACHED where no region is named, before anything is done; no approval is ever needed.
 */
export async function killJob(
  control: pg.Pool,
  ownerOf: (region: string) => pg.Pool,
  request: KillRequest,
  principal: Principal,
  reach: KillReach = {},
): Promise<KillReport> {
  for (const region of request.regions) requireMay(principal, 'kill', region);
  const { regions, ...rest } = { ...request, reason: storable(request.reason) };
  if (regions.length === 0) throw nothingReached(`${request.job} has no gate, flag or policy in any region`);
  const orders = regions.map((region) => ({ ...rest, region, by: principal.name, record: randomUUID() }));
  const failed: { readonly order: RecordedOrder; readonly reason: string }[] = [];
  const databases = new Map<pg.Pool, RecordedOrder[]>();
  for (const order of orders) {
    try {
      const owner = ownerOf(order.region);
      databases.set(owner, [...(databases.get(owner) ?? []), order]);
    } catch (error) {
      failed.push({ order, reason: whyNot(error) });
    }
  }
  const killed = [];
  const held: Held[] = [];
  const tried = [...databases].map(([owner, there]) => killIn(owner, there, reach.answerMs));
  for (const { owner, order, outcome, runsEnded } of (await Promise.all(tried)).flat()) {
    if ('failed' in outcome) failed.push({ order, reason: whyNot(outcome.failed) });
    else {
      const each = { ...outcome, runsEnded };
      killed.push(each);
      held.push({ order, killed: each, owner });
    }
  }
  const unrecorded = reach.withoutControl === true ? CONTROL_SILENT : await record(control, held);
  const left = await Promise.all(failed.map(({ order, reason }) => leave(control, order, reason, reach)));
  return { job: request.job, killed, failed: left, ...(unrecorded !== undefined && { unrecorded }) };
}

/** What became of an order. */
interface Tried {
  readonly owner: pg.Pool;
  readonly order: RecordedOrder;
  readonly outcome: Killed | { readonly failed: unknown };
  readonly runsEnded: readonly string[];
}

/** How long the gates that nobody holds are waited for; then each gate is killed by itself. */
const FREE_MS = 500;
/** So many at a time: none waits long for the others. */
const FREE_AT_ONCE = 100;

/** Kills gates of one database: those that nobody holds together, each of the others by itself; then ends their runs. */
async function killIn(
  owner: pg.Pool,
  orders: readonly RecordedOrder[],
  answerMs: number | undefined,
): Promise<Tried[]> {
  const parts = Array.from({ length: Math.ceil(orders.length / FREE_AT_ONCE) }, (_, at) =>
    orders.slice(at * FREE_AT_ONCE, (at + 1) * FREE_AT_ONCE),
  );
  const free = await Promise.all(
    parts.map((part) =>
      within(
        FREE_MS,
        () => killFreeGates(owner, part),
        () => new Error('too slow'),
      ).catch(() => new Map<string, Killed>()),
    ),
  );
  const outcomes = await Promise.all(
    orders.map(async (order): Promise<Tried['outcome']> => {
      const done = free.map((each) => each.get(order.region)).find((each) => each !== undefined);
      return done ?? killWithin(owner, order, answerMs).catch((failed: unknown) => ({ failed }));
    }),
  );
  const hit = orders.filter((_, at) => !('failed' in (outcomes[at] ?? {})));
  const ended = await endKilledRuns(owner, hit).catch(() => []);
  return orders.map((order, at) => ({
    ...{ owner, order, outcome: outcomes[at] ?? { failed: undefined } },
    runsEnded: ended.filter(({ region }) => region === order.region).map(({ id }) => id),
  }));
}

/** A kill that comes through after that is still a kill; it is only not waited for. */
async function killWithin(owner: pg.Pool, order: KillOrder, answerMs = ANSWER_MS): Promise<Killed> {
  let hindrance = 'its database did not answer';
  return within(
    answerMs,
    () => killGate(owner, order, GRACE_MS, (told) => (hindrance = told)),
    () => new Error(`${hindrance} (waited ${answerMs / 1_000} s)`),
  );
}

/** SQLSTATEs of what a person can do something about. */
const WHY: Readonly<Record<string, string>> = {
  '53300': 'its database takes no more connections',
  '42P01': 'its database has no Portcullis schema',
  '3F000': 'its database has no Portcullis schema',
};

function whyNot(error: unknown): string {
  if (isReadOnly(error)) return `its database takes no writes: ${messageOf(error)}`;
  const why = WHY[String((error as { code?: unknown } | undefined)?.code)];
  return why === undefined ? messageOf(error) : `${why}: ${messageOf(error)}`;
}

/** Why neither a kill nor what is left of it is in the control database. */
const CONTROL_SILENT = 'the control database does not answer';

async function leave(
  control: pg.Pool,
  order: KillOrder,
  reason: string,
  { flagsAt, withoutControl = false }: KillReach,
): Promise<FailedKill> {
  const notLeft = (why: string): FailedKill => {
    const text = `${reason}; nor could it be left to others: ${why}`;
    return { region: order.region, reason: text, wish: null, lapsesBy: null };
  };
  if (withoutControl) return notLeft(CONTROL_SILENT);
  try {
    const { wish, lapsesBy } = await wishKill(control, order, reason, flagsAt !== undefined);
    return { region: order.region, reason, wish, lapsesBy: lapsesBy?.toISOString() ?? null };
  } catch (error) {
    return notLeft(messageOf(error));
  }
}

/**
 * Stops every job in every region, and restores too. A job or region where that fails keeps none of the others
 * from being stopped. Throws FORBIDDEN before anything is done, and NOTHING_REACHED where there is none.
 */
export async function stopEverything(
  control: pg.Pool,
  ownerOf: (region: string) => pg.Pool,
  { reason, drill = false }: StopRequest,
  principal: Principal,
  reach: KillReach = {},
): Promise<readonly KillReport[]> {
  requireMay(principal, 'kill');
  const jobs = [...(reach.jobs ?? (await gatesOf(control)))].filter(([, regions]) => regions.length > 0);
  if (jobs.length === 0) throw nothingReached('there is no gate, flag or policy of any job');
  return Promise.all(
    jobs.map(([job, regions]) =>
      killJob(control, ownerOf, { job, regions, reason, drill, restoresToo: true }, principal, reach),
    ),
  );
}

function nothingReached(why: string): PortcullisError {
  return new PortcullisError('NOTHING_REACHED', `nothing was stopped: ${why}`, {
    hint: 'check that this is the installation that you mean: portcullis status, PORTCULLIS_DATABASE_URL',
  });
}

/** Throws KILL_INCOMPLETE, with all that was reported, where a kill, of one version or of all, has not taken hold everywhere. */
export function requireComplete(reports: readonly KillReport[], version?: string): void {
  const failed = reports.flatMap((report) => report.failed.map((each) => ({ job: report.job, ...each })));
  if (failed.length === 0) return;
  throw new PortcullisError(
    'KILL_INCOMPLETE',
    failed.map(({ job, ...each }) => unreachedText(job, each, version)).join('\n'),
    {
      hint: failed.every(({ wish }) => wish !== null)
        ? 'nothing to do: every process that can reach the gate keeps trying; portcullis status shows when it is killed'
        : 'try again at once, from where the databases can be reached',
      details: { reports },
    },
  );
}

/** What has become of a kill, of one version or of all, that could not reach its gate: in one sentence. */
export function unreachedText(
  job: string,
  { region, reason, wish, lapsesBy }: FailedKill,
  version?: string,
): string {
  const unreached = `${version === undefined ? job : `${job} ${version}`} in ${region} could not be killed yet: ${reason}`;
  if (wish === null) return unreached;
  const closes =
    lapsesBy === null
      ? 'permit expiry unknown'
      : version === undefined
        ? `flag revoked; connected workers stop now, all others by ${lapsesBy}`
        : `share revoked; connected workers stop it now, all others by ${lapsesBy}; the gate stays open for other versions`;
  return `${unreached}; ${closes}; it is killed as soon as it can be reached`;
}

type RecordedOrder = KillOrder & { readonly record: string };

/** A kill that holds. */
interface Held {
  readonly order: RecordedOrder;
  readonly killed: KillReport['killed'][number];
  readonly owner: pg.Pool;
}

/** A kill's answer waits no longer for the record; a kill that is not on it by then is recorded by whoever serves. */
const RECORD_MS = 4_000;

/** Puts kills on record. Answers why that has not come about yet, if it has not. */
async function record(control: pg.Pool, kills: readonly Held[]): Promise<string | undefined> {
  const late = (): Error => new Error(`the audit log was not reached within ${RECORD_MS / 1_000} s`);
  return within(RECORD_MS, () => recordAll(control, kills), late).then(() => undefined, messageOf);
}

async function recordAll(control: pg.Pool, kills: readonly Held[]): Promise<void> {
  const kept: KeptKill[] = [];
  for (const owner of new Set(kills.map((each) => each.owner))) {
    const there = kills.filter((each) => each.owner === owner);
    try {
      const ends = there.map(({ order: { record }, killed }) => ({ ...killed, record }));
      kept.push(...(await completeUnrecorded(owner, ends)).map((kill) => ({ region: owner, kill })));
    } catch (error) {
      if (!isOlderSchema(error)) throw error;
      const at = new Date();
      const notes = there.map(({ order, killed }) => {
        const { version = null, restoresToo = false, drill = false, reason, by } = order;
        return noteOf({ ...killed, version, restoresToo, drill, reason, by, at });
      });
      await recordAudits(control, notes);
    }
  }
  try {
    await moveKills(control, kept);
  } catch (error) {
    if (!isOlderSchema(error)) throw error;
    await recordAudits(
      control,
      kept.map(({ kill }) => noteOf(kill)),
    );
  }
}

/** A schema from before kills were left in the region's database. */
function isOlderSchema(error: unknown): boolean {
  return (error as { code?: unknown }).code === UNDEFINED_TABLE;
}

const UNDEFINED_TABLE = '42P01';
