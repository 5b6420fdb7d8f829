import type pg from 'pg';
import {
  currentSpelling,
  digestOfVersion,
  isWholeVersion,
  onlyVersion,
  versionsNamed,
} from '../kernel/version-named.js';
import { inTransaction } from '../postgres/pool.js';

/** What a worker can run, and where. */
export interface Announcement {
  readonly job: string;
  /** `1.1.0_9f3c2a1b`: the number, and the digest of the job's code. */
  readonly version: string;
  readonly regions: readonly string[];
  /** The revision of its flag that it has heard, by region; a region whose flag it never heard is not there. */
  readonly flagRevisions?: Readonly<Record<string, number>>;
}

/** A version that was announced, now or ever. */
export interface AnnouncedVersion {
  readonly version: string;
  readonly firstSeenAt: Date;
  readonly lastSeenAt: Date;
  /** The regions in which a worker can run it now. */
  readonly regions: readonly string[];
}

/** How often a worker announces itself, and after how long a silence it counts as gone. */
export const ANNOUNCE_MS = 5_000;
const SILENT_MS = 20_000;

/** Workers that have been silent for so long are forgotten; the versions they had are not. */
const FORGET = `interval '7 days'`;

/**
 * Notes what a worker can run from now on; what it announced before and does not name now, it can't run any
 * more. To be called again and again: a worker that is silent counts as gone.
 */
export async function announceVersions(
  control: pg.Pool,
  worker: string,
  announcements: readonly Announcement[],
): Promise<void> {
  await inTransaction(control, async (client) => {
    // In one order, so that two workers' announcements can't wait for each other.
    const ordered = [...announcements].sort((one, other) =>
      `${one.job} ${one.version}` < `${other.job} ${other.version}` ? -1 : 1,
    );
    for (const { job, version, regions, flagRevisions = {} } of ordered) {
      await client.query(
        `insert into portcullis_control.version (job, version, digest) values ($1, $2, $3)
         on conflict (job, version) do update set last_seen_at = clock_timestamp()`,
        [job, version, digestOfVersion(version)],
      );
      await client.query(
        `insert into portcullis_control.worker_version (worker, job, version, regions, flag_revisions)
         values ($1, $2, $3, $4, $5)
         on conflict (worker, job, version) do update
           set regions = $4, flag_revisions = $5, last_seen_at = clock_timestamp()`,
        [worker, job, version, regions, JSON.stringify(flagRevisions)],
      );
    }
    await client.query(
      `delete from portcullis_control.worker_version
       where (worker = $1 and not (job, version) in (select * from unnest($2::text[], $3::text[])))
          or last_seen_at < clock_timestamp() - ${FORGET}`,
      [worker, ordered.map(({ job }) => job), ordered.map(({ version }) => version)],
    );
  });
}

/** The workers that have announced themselves of late, each with the regions that it serves. */
export async function workersAtWork(
  control: pg.Pool,
): Promise<{ readonly worker: string; readonly regions: readonly string[] }[]> {
  const { rows } = await control.query<{ worker: string; regions: string[] }>(
    `select worker, array_agg(distinct region) as regions
     from portcullis_control.worker_version, unnest(regions) region
     where last_seen_at > clock_timestamp() - make_interval(secs => $1::float8 / 1000)
     group by worker order by worker`,
    [SILENT_MS],
  );
  return rows;
}

/** The regions in which workers can run a version now, by `job version`, of every job or of one. */
export async function versionsNow(
  control: pg.Pool,
  job: string | undefined,
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const { rows } = await control.query<{ job: string; version: string; regions: string[] }>(
    `select job, version, array_agg(distinct region) as regions
     from portcullis_control.worker_version, unnest(regions) region
     where last_seen_at > clock_timestamp() - make_interval(secs => $2::float8 / 1000)
       and ($1::text is null or job = $1)
     group by job, version`,
    [job ?? null, SILENT_MS],
  );
  return new Map(rows.map(({ job: of, version, regions }) => [`${of} ${version}`, new Set(regions)]));
}

/** Every version of every job: where workers can run it now, and how far it is admitted in each region. */
export async function listVersions(control: pg.Pool, job: string | undefined) {
  const { rows } = await control.query<{
    job: string;
    version: string;
    first_seen_at: Date;
    last_seen_at: Date;
    live: string[];
    admitted: { region: string; permille: number }[];
  }>(
    `select v.job, v.version, v.first_seen_at, v.last_seen_at,
            array(select distinct unnest(w.regions) from portcullis_control.worker_version w
                  where w.job = v.job and w.version = v.version
                    and w.last_seen_at > clock_timestamp() - make_interval(secs => $2::float8 / 1000)
                  order by 1) as live,
            (select coalesce(jsonb_agg(jsonb_build_object('region', a.region, 'permille', a.permille) order by a.region), '[]')
             from portcullis_control.admission a
             where a.job = v.job and a.version = v.version and a.permille > 0) as admitted
     from portcullis_control.version v where $1::text is null or v.job = $1
     order by v.job, v.first_seen_at desc, v.version`,
    [job ?? null, SILENT_MS],
  );
  return rows.map(({ first_seen_at, last_seen_at, ...version }) => ({
    ...version,
    firstSeenAt: first_seen_at.toISOString(),
    lastSeenAt: last_seen_at.toISOString(),
  }));
}

/**
 * Every worker of the last 7 days that did not leave in good order, with what it can run and where; and of each region's
 * flag the revision that it has heard, and the one that the control database has.
 */
export async function listWorkers(control: pg.Pool) {
  const { rows } = await control.query<{
    worker: string;
    at_work: boolean;
    last_seen_at: Date;
    versions: {
      job: string;
      version: string;
      regions: string[];
      flags: { region: string; heard: number | null; current: number | null }[];
    }[];
  }>(
    `select worker, max(last_seen_at) as last_seen_at,
            max(last_seen_at) > clock_timestamp() - make_interval(secs => $1::float8 / 1000) as at_work,
            jsonb_agg(jsonb_build_object('job', job, 'version', version, 'regions', regions, 'flags',
              (select coalesce(jsonb_agg(jsonb_build_object('region', served.region,
                        'heard', w.flag_revisions -> served.region, 'current', f.revision) order by served.region), '[]')
               from unnest(w.regions) as served (region)
               left join portcullis_control.flag f on f.job = w.job and f.region = served.region)
            ) order by job, version) as versions
     from portcullis_control.worker_version w group by worker order by worker`,
    [SILENT_MS],
  );
  return rows.map(({ worker, at_work, last_seen_at, versions }) => ({
    worker,
    atWork: at_work,
    lastSeenAt: last_seen_at.toISOString(),
    versions,
  }));
}

/** A worker as people and programs read it. */
export type WorkerView = Awaited<ReturnType<typeof listWorkers>>[number];

/** A worker leaves in good order: from now on it can run nothing. */
export async function withdrawWorker(control: pg.Pool, worker: string): Promise<void> {
  await control.query('delete from portcullis_control.worker_version where worker = $1', [worker]);
}

/** Every version of a job that was ever announced, newest first. */
export async function announcedVersions(
  control: pg.Pool | pg.PoolClient,
  job: string,
): Promise<AnnouncedVersion[]> {
  const { rows } = await control.query<{
    version: string;
    first_seen_at: Date;
    last_seen_at: Date;
    regions: string[];
  }>(
    `select v.version, v.first_seen_at, v.last_seen_at,
            array(select distinct unnest(w.regions) from portcullis_control.worker_version w
                  where w.job = v.job and w.version = v.version
                    and w.last_seen_at > clock_timestamp() - make_interval(secs => $2::float8 / 1000)
                  order by 1) as regions
     from portcullis_control.version v where v.job = $1 order by v.first_seen_at desc, v.version`,
    [job, SILENT_MS],
  );
  return rows.map(({ version, first_seen_at, last_seen_at, regions }) => ({
    version,
    firstSeenAt: first_seen_at,
    lastSeenAt: last_seen_at,
    regions,
  }));
}

/** The regions in which a worker that announced itself of late can run a version. */
export async function regionsServed(
  control: pg.Pool | pg.PoolClient,
  { job, version }: { readonly job: string; readonly version: string },
): Promise<readonly string[]> {
  const announced = await announcedVersions(control, job);
  return announced.find((each) => each.version === version)?.regions ?? [];
}

/**
 * The announced version that a person means: see `versionsNamed`. Throws VERSION_UNKNOWN with those there are.
 */
export async function requireVersion(control: pg.Pool, job: string, meant: string): Promise<string> {
  const known = (await announcedVersions(control, job)).map(({ version }) => version);
  return onlyVersion(job, meant, known);
}

/**
 * The version that a kill is meant for, of those that are known: as `requireVersion` finds it, or one that nobody
 * knows yet but that is given whole, so that a faulty build is kept out before it comes. Any other would be killed
 * in name only, while what was meant goes on. Throws VERSION_UNKNOWN with those there are.
 */
export function versionToKill(job: string, meant: string, known: readonly string[]): string {
  const name = currentSpelling(meant);
  return isWholeVersion(name) && versionsNamed(name, known).length === 0
    ? name
    : onlyVersion(job, meant, known);
}
