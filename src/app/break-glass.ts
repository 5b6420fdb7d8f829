import type pg from 'pg';
import type { Installation } from '../cli/app-port.js';
import { noteExpired, noteRuns } from '../flags/break-glass.js';
import { ControlHistory } from '../gate/control-history.js';
import { settleOlderControl } from '../rollout/older-control.js';
import { startPoller, type Poller } from '../kernel/poller.js';
import { messageOf } from '../kernel/errors.js';
import { inTransaction } from '../postgres/pool.js';
import type { RegionDatabase } from '../regions/region-database.js';
import type { WorkerContext } from '../worker/platform.js';
import { listBreakGlass, type BreakGlass } from '../flags/browse-break-glass.js';

const LOOK_MS = 2_000;

/** A region is compared with the control database at least so often, whatever that seems to be. */
const COMPARE_MS = 60_000;

/** Runs that are planned just before the end begin a while after it. */
const HEARD_FOR_MS = 24 * 3_600_000;

const BY = 'system:break-glass';

/**
 * Notes what has become of break-glass, and clears what a control database that was restored from a backup says of
 * admissions: for as long as this process is a control plane. Nothing waits for it: break-glass ends by itself, and a
 * region holds what it knows to be outdated.
 */
export function startBreakGlass(
  { control, regionDatabases }: Pick<Installation, 'control' | 'regionDatabases'>,
  { log, metrics }: Pick<WorkerContext, 'log' | 'metrics'>,
  ownFlags: boolean,
): Poller {
  const said = new Map<string, string>();
  const history = new ControlHistory(control);
  // By database, on the monotonic clock: since when it is known to have seen nothing that the control database lacks.
  const compared = new Map<string, number>();
  const compare = async ({ name, owner }: RegionDatabase): Promise<void> => {
    const now = performance.now();
    if (now - (compared.get(name) ?? -Infinity) < COMPARE_MS) return;
    const { versions, flags } = await settleOlderControl(control, owner, BY, ownFlags);
    compared.set(name, now);
    if (versions.length + flags.length === 0) return;
    log.error(
      { code: 'control-older', database: name, versions, flags },
      'the control database is older than what this region has seen: it was restored from a backup',
    );
  };
  const look = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
      said.delete(what);
    } catch (error) {
      // Said once: it is tried again at each look.
      const why = messageOf(error);
      if (said.get(what) !== why) log.error({ code: 'break-glass-unread', database: what, err: error }, why);
      said.set(what, why);
    }
  };
  return startPoller(
    LOOK_MS,
    async () => {
      if (await history.isOther()) compared.clear();
      const recent = await recentBreakGlass(control);
      for (const regionDatabase of regionDatabases.all()) {
        if (!regionDatabase.open) continue;
        await look(regionDatabase.name, async () => {
          await noteRunsOf(control, regionDatabase.owner, recent);
          await compare(regionDatabase);
        });
      }
      for (const { id, region } of await inTransaction(control, (client) => noteExpired(client, BY))) {
        log.info({ code: 'break-glass-expired', id, region }, 'break-glass expired');
      }
      metrics.breakGlass(await listBreakGlass(control, { inForce: true }));
    },
    (error) => log.error({ code: 'break-glass-unread', err: error }, `break-glass: ${messageOf(error)}`),
  );
}

/** Break-glass of which a run may still come to be known. */
async function recentBreakGlass(control: pg.Pool): Promise<BreakGlass[]> {
  const since = Date.now() - HEARD_FOR_MS;
  return (await listBreakGlass(control)).filter(
    ({ endedAt }) => endedAt === null || Date.parse(endedAt) > since,
  );
}

/** Puts on record the runs of a region's database that were planned under break-glass, as far as it is in `recent`. */
export async function noteRunsOf(
  control: pg.Pool,
  owner: pg.Pool,
  recent?: readonly BreakGlass[],
): Promise<void> {
  recent ??= await recentBreakGlass(control);
  if (recent.length === 0) return;
  const { rows } = await owner.query<{ run: string; id: string; region: string }>(
    `select id as run, break_glass as id, region from portcullis_region.run
     where break_glass = any($1) and not id = any($2) order by created_at limit 1000`,
    [recent.map(({ id }) => id), recent.flatMap(({ runs }) => runs)],
  );
  if (rows.length > 0) await inTransaction(control, (client) => noteRuns(client, rows, BY));
}
