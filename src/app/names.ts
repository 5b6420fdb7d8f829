import type { Names } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { PortcullisError } from '../kernel/errors.js';
import { within } from '../kernel/within.js';
import { runningUrl } from '../postgres/embedded-server.js';
import { connectAlone } from '../postgres/pool.js';

/**
 * The jobs, regions and versions that the control database knows, read within so many milliseconds. An embedded
 * database that does not run is not started for it. Throws DATABASE_UNREACHABLE.
 */
export async function readNames({ databaseUrl, home }: Config, ms: number): Promise<Names> {
  const url = databaseUrl ?? runningUrl(home);
  if (url === undefined) throw new PortcullisError('DATABASE_UNREACHABLE', 'no embedded database runs here');
  const late = (): Error => new PortcullisError('DATABASE_UNREACHABLE', `no answer within ${ms} ms`);
  return within(
    ms,
    async () => {
      const client = await connectAlone({
        ...{ connectionString: url, connectionTimeoutMillis: ms, query_timeout: ms },
      });
      try {
        const places = await client.query<{ job: string; region: string }>(
          'select distinct job, region from portcullis_control.flag order by job, region limit 1000',
        );
        const versions = await client.query<{ job: string; version: string }>(
          `select job, version from portcullis_control.worker_version
           group by job, version order by max(last_seen_at) desc limit 100`,
        );
        return {
          jobs: [...new Set(places.rows.map(({ job }) => job))],
          regions: [...new Set(places.rows.map(({ region }) => region))].sort(),
          versions: versions.rows,
        };
      } finally {
        void client.end().catch(() => undefined);
      }
    },
    late,
  );
}
