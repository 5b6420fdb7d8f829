import type { RunOptions, RunReport } from './run-end.js';
import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { reversedSteps, rowNamed, type RestorePart } from '../journal/restore-plan.js';
import { previewRestore, type RestorePreview } from '../journal/restore-preview.js';
import { triggersOf, type FiringTrigger } from '../journal/trigger-effects.js';
import { activeRestore, electRestore } from '../runs/election.js';
import type { Trial } from '../runs/run-triggers.js';
import { finishRun } from '../runs/finish.js';
import { takeOver, type TakenOver } from '../runs/lease.js';
import { RUN_STATES, type RunStatus } from '../runs/run-states.js';
import { readRestored, type RestoredRun } from './restore-plan-phase.js';
import { executeRestore, type RestorePace, type RestoreRun, type RestoreSite } from './restore-run.js';
import { tryRestore } from './trial.js';

/** A run that is to be restored. */
export interface Restorable {
  readonly id: string;
  readonly job: string;
  readonly version: string;
  readonly region: string;
  readonly createdAt: Date;
}

export interface RestoreReport {
  readonly of: Restorable;
  /** Absent where the restore was given up, or went to another worker. */
  readonly report: RunReport | undefined;
  /** How the run's changes stand now. */
  readonly left: RestorePreview;
}

export interface RestoreOptions extends RunOptions {
  /** How fast to go for a job. */
  readonly paceOf: (job: string) => RestorePace;
  /** What of each run; absent: everything. */
  readonly part?: RestorePart | undefined;
  /** Told before each run of several. */
  readonly onRun?: (of: Restorable) => void;
  /** Told when a restore under way has to be waited for, because its former worker's lease is not over yet. */
  readonly onWait?: (of: Restorable) => void;
}

/**
 * Takes runs back, the newest first, each by a restore of its own. One that was begun and not finished is
 * taken up where it was left. Ends with the first that does not succeed, since what is older lies beneath it.
 * Throws RUN_UNKNOWN, or RUN_ACTIVE for a run, or a restore of it, that another worker has in hand.
 */
export async function restoreRuns(
  site: RestoreSite,
  ids: readonly string[],
  options: RestoreOptions,
): Promise<RestoreReport[]> {
  const runs = await newestFirst(site.region, ids);
  const reports: RestoreReport[] = [];
  for (const of of runs) {
    options.onRun?.(of);
    const report = await restoreOne(site, of, options);
    const { region } = site;
    const left = await previewRestore(region, of.id, await readRestored(region, of.id), options.part);
    reports.push({ of, report, left });
    if (report?.status !== 'succeeded') break;
  }
  return reports;
}

/** What a restore of a run would do: how its rows stand, and what the triggers of their tables would. */
export interface RestoreForecast extends RestorePreview {
  readonly triggers: readonly FiringTrigger[];
  /** Null: no trigger fires, nothing is left to restore, or nobody asked. */
  readonly trial: Trial | null;
}

/**
 * What restoring runs would do, the newest first. `trial`: also tries it where there are triggers, in a transaction that is
 * rolled back, but not while everything is stopped. Throws RUN_UNKNOWN, or REQUEST_INVALID for a resource that a run did not change.
 */
export async function previewRestores(
  pool: pg.Pool,
  ids: readonly string[],
  { part, trial = false }: { readonly part?: RestorePart | undefined; readonly trial?: boolean } = {},
): Promise<{ readonly of: Restorable; readonly preview: RestoreForecast }[]> {
  const previews = [];
  for (const of of await newestFirst(pool, ids)) {
    const restored = await readRestored(pool, of.id);
    requirePart(of, restored, part);
    const { shapes, steps } = restored;
    const preview = await previewRestore(pool, of.id, restored, part);
    const reversed = reversedSteps(steps, shapes).flatMap(({ resource, operation }) => {
      const shape = shapes.get(resource);
      return shape && (part?.resources?.includes(resource) ?? true) ? [{ shape, operation }] : [];
    });
    const tried =
      trial && !(await allStopped(pool, of))
        ? await tryRestore(pool, of.id, restored, part, preview.restorable)
        : undefined;
    previews.push({ of, preview: { ...preview, triggers: triggersOf(reversed), trial: tried ?? null } });
  }
  return previews;
}

/** Throws REQUEST_INVALID where a part names what the run has not changed: it would be taken for nothing to do. */
export function requirePart(
  { id, job }: Pick<Restorable, 'id' | 'job'>,
  { shapes, refused }: RestoredRun,
  part: RestorePart | undefined,
): void {
  const known = [...shapes.keys(), ...refused.keys()].sort();
  const named = [...(part?.resources ?? []), ...(part?.keys ?? []).map((each) => rowNamed(each).resource)];
  const other = named.find((name) => !known.includes(name));
  if (other === undefined) return;
  throw new PortcullisError(
    'REQUEST_INVALID',
    `run ${id.slice(0, 8)} of ${job} changed no resource ${JSON.stringify(other)}`,
    {
      hint:
        known.length === 0
          ? 'it changed nothing'
          : `it changed ${known.join(', ')}; a key is given as ${known[0] ?? 'resource'}:KEY`,
    },
  );
}

async function allStopped(pool: pg.Pool, { job, region }: Restorable): Promise<boolean> {
  const { rowCount } = await pool.query(
    'select from portcullis_region.gate where job = $1 and region = $2 and stopped',
    [job, region],
  );
  return (rowCount ?? 0) > 0;
}

async function newestFirst(pool: pg.Pool, ids: readonly string[]): Promise<Restorable[]> {
  const { rows } = await pool.query<Restorable>(
    `select id, job, version, region, created_at as "createdAt"
     from portcullis_region.run where id = any($1::uuid[])
     order by created_at desc, id`,
    [ids],
  );
  const found = new Set(rows.map(({ id }) => id));
  const missing = ids.find((id) => !found.has(id));
  if (missing === undefined) return rows;
  throw new PortcullisError('RUN_UNKNOWN', `there is no run ${missing}`, {
    hint: 'list the runs to find its id',
    details: { id: missing },
  });
}

async function restoreOne(
  site: RestoreSite,
  of: Restorable,
  options: RestoreOptions,
): Promise<RunReport | undefined> {
  const pace = options.paceOf(of.job);
  await settle(site, of, pace, options);
  requirePart(of, await readRestored(site.region, of.id), options.part);
  for (;;) {
    const begun = await begin(site, of, pace, options);
    const report = begun && (await executeRestore(site, begun.run, begun.status, pace, options));
    // One of another part that was left undone comes first.
    if (begun?.samePart !== false || report?.status !== 'succeeded') return report;
  }
}

interface Begun {
  readonly run: RestoreRun;
  /** Whether it is of the part that is asked for. */
  readonly samePart: boolean;
  readonly status: TakenOver['status'];
}

/** Begins a restore, or takes up the one that was begun. Undefined when told to stop meanwhile. */
async function begin(
  site: RestoreSite,
  of: Restorable,
  pace: RestorePace,
  options: RestoreOptions,
): Promise<Begun | undefined> {
  const { worker, region } = site;
  for (;;) {
    const { part } = options;
    const run = await electRestore(region, { of: of.id, worker, leaseMs: pace.leaseMs, part });
    if (run) return { run: { ...run, restores: of.id }, status: 'planning', samePart: true };
    const active = await activeRestore(region, of.id, part);
    if (active === undefined) continue;
    const taken = await takeOverWhenFree(site, { ...of, id: active.id }, of, pace, options);
    if (taken === 'aborted') return undefined;
    const { samePart } = active;
    if (taken) return { run: { ...taken.run, restores: of.id }, status: taken.status, samePart };
  }
}

/**
 * Makes sure that a run writes no more: that it is over, or was admitted under an epoch that its gate has
 * left, as after a kill. A run that nobody works on any longer is ended here.
 */
async function settle(
  site: RestoreSite,
  of: Restorable,
  pace: RestorePace,
  options: RestoreOptions,
): Promise<void> {
  if (await writesNoMore(site.region, of.id)) return;
  const taken = await takeOverWhenFree(site, of, of, pace, options);
  if (taken === undefined || taken === 'aborted') return;
  const status = taken.status === 'applying' ? 'stopped' : 'failed';
  await finishRun(site.region, taken.run, {
    status,
    code: 'restored',
    reason: `its worker ${taken.fromWorker} was gone, and a restore of it was asked for`,
  });
}

/**
 * Whether a run can commit no change any more: it is over, or its gate or its version has left the epoch under which the
 * run was admitted, as after a kill, or the break-glass that it rested on has ended. Such a run may be restored, whatever its row says.
 */
export async function writesNoMore(pool: pg.Pool, id: string): Promise<boolean> {
  const { rows } = await pool.query<{ status: RunStatus; fenced: boolean }>(
    `select r.status,
       coalesce(g.epoch <> r.gate_epoch or coalesce(v.epoch, 0) <> r.version_epoch
                or r.break_glass_until <= clock_timestamp(), false) as fenced
     from portcullis_region.run r
     left join portcullis_region.gate g on g.job = r.job and g.region = r.region
     left join portcullis_region.version_epoch v on v.job = r.job and v.region = r.region and v.version = r.version
     where r.id = $1`,
    [id],
  );
  return rows.every(({ status, fenced }) => fenced || !RUN_STATES[status].active);
}

const LOOK_MS = 200;

/**
 * Takes over one run as soon as its worker's lease ends. Undefined when it is over by then. Throws RUN_ACTIVE
 * when the lease is renewed: somebody works on it.
 */
async function takeOverWhenFree(
  { worker, region }: RestoreSite,
  run: Restorable,
  of: Restorable,
  { leaseMs }: RestorePace,
  { signal, onWait }: RestoreOptions,
): Promise<TakenOver | 'aborted' | undefined> {
  let leaseUntil: string | undefined;
  for (;;) {
    const scope = { jobs: [run.job], regions: [run.region], versions: [run.version], run: run.id };
    const taken = await takeOver(region, { ...scope, worker, leaseMs });
    if (taken) return taken;
    const { rows } = await region.query<{ status: RunStatus; lease: string; worker: string }>(
      'select status, lease_until::text as lease, worker from portcullis_region.run where id = $1',
      [run.id],
    );
    const [now] = rows;
    if (!now || !RUN_STATES[now.status].active) return undefined;
    if (leaseUntil !== undefined && now.lease !== leaseUntil) throw inHand(run, of, now.worker);
    if (leaseUntil === undefined) onWait?.(of);
    leaseUntil = now.lease;
    if (signal.aborted) return 'aborted';
    await setTimeout(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

function inHand(run: Restorable, of: Restorable, worker: string): PortcullisError {
  const details = { run: run.id, job: of.job, region: of.region, worker };
  if (run.id !== of.id) {
    return new PortcullisError('RUN_ACTIVE', `${worker} is restoring run ${of.id.slice(0, 8)} right now`, {
      hint: `see how far it is: portcullis run show ${run.id.slice(0, 8)}`,
      details,
    });
  }
  return new PortcullisError(
    'RUN_ACTIVE',
    `run ${of.id.slice(0, 8)} of ${of.job} is still writing in ${of.region}`,
    {
      hint: `stop it first: portcullis kill ${of.job} --region ${of.region} --reason "…"; then restore it`,
      details,
    },
  );
}
