import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { currentSpelling } from '../kernel/version-named.js';
import { listOf } from '../kernel/words.js';
import { notify } from '../notify/notice.js';
import type { RunView } from '../runs/browse-runs.js';
import { inTransaction } from '../postgres/pool.js';
import type { PoolOf } from './incident-runs.js';
import { openIncident, type Opened, type RegionHit } from './open-incident.js';

export interface Report {
  readonly job: string;
  readonly version?: string | undefined;
  /** Where; at least one. */
  readonly regions: readonly string[];
  /** The first bad run, where somebody knows it: then it is of that version, and in that region. */
  readonly run?: RunView | undefined;
  readonly title: string;
}

/**
 * Opens an incident for what a person has noticed, or joins the one that is not closed yet, and tells people.
 * Stops nothing: a region counts as contained only where the gate is killed already, or the version quarantined.
 * Without a run it names no damage. Throws REQUEST_INVALID for another job's run.
 */
export async function openByHand(
  control: pg.Pool,
  poolOf: PoolOf,
  { job, version, regions, run, title }: Report,
  by: string,
): Promise<Opened> {
  if (run !== undefined && run.job !== job) {
    throw new PortcullisError(
      'REQUEST_INVALID',
      `run ${run.runId.slice(0, 8)} is of ${run.job}, not of ${job}`,
      {
        hint: 'name the job that the run is of',
        details: { run: run.runId, job },
      },
    );
  }
  const blamed = version === undefined ? run?.version : currentSpelling(version);
  const hits = await Promise.all(
    regions.map(async (region): Promise<RegionHit> => {
      const first = run?.region === region ? run : undefined;
      const containedAt = await stoppedSince(poolOf(region), job, blamed, region);
      return { region, firstRun: first?.runId, since: first?.createdAt, containedAt };
    }),
  );
  return inTransaction(control, async (client) => {
    const opened = await openIncident(client, {
      ...{ job, version: blamed, regions: hits, cause: 'manual', title, by },
      evidence: run === undefined ? {} : { firstRun: run.runId },
    });
    const alive = hits.flatMap(({ region, containedAt }) => (containedAt === null ? [region] : []));
    await notify(client, {
      ...{ kind: 'incident', job, title: `${by} reports ${job}: ${title}` },
      lines: [
        ...(alive.length === 0 ? [] : [`Nothing was stopped: it may still write in ${listOf(alive)}.`]),
        `What to do now: portcullis incident runbook ${opened.id}`,
      ],
      details: { incident: opened.id, version: blamed ?? null, regions, by },
    });
    return opened;
  });
}

async function stoppedSince(
  pool: pg.Pool,
  job: string,
  version: string | undefined,
  region: string,
): Promise<string | null> {
  const { rows } = await pool.query<{ since: string | null }>(
    `select min(since)::text as since
     from (select killed_at as since from portcullis_region.gate
           where job = $1 and region = $2 and state = 'killed'
           union all
           select set_at from portcullis_region.quarantine where job = $1 and version = $3) stopped`,
    [job, region, version ?? null],
  );
  return rows[0]?.since ?? null;
}
