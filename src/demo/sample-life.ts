import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { messageOf } from '../kernel/errors.js';
import { startPoller, type Poller } from '../kernel/poller.js';
import { inTransaction } from '../postgres/pool.js';
import type { RegionDatabases } from '../regions/region-database.js';
import type { Log } from '../telemetry/log.js';
import type { PlacedJob } from '../worker/worker.js';
import { SAMPLE_PREFIX } from './sample-rows.js';
import { isSampleWorld } from './sample-world.js';

/** So many organisations of a region get a new account each time: far below what count rules find odd. */
const JOINING = 8;

/**
 * Lets the sample world's people live on in a region: new accounts join organisations that have asked for claims, and
 * checks of verified domains come due. So every run finds something to do. Answers how many of each there were.
 */
export async function liveOn(
  owner: pg.Pool,
  region: string,
  { joining = JOINING }: { readonly joining?: number } = {},
): Promise<{ readonly joined: number; readonly due: number }> {
  return inTransaction(owner, async (client) => {
    const joined = await client.query(JOIN, [region, joining, `${SAMPLE_PREFIX}account-${randomUUID()}`]);
    const due = await client.query(COME_DUE, [region]);
    return { joined: joined.rowCount ?? 0, due: due.rowCount ?? 0 };
  });
}

/** Often enough for each scheduled run to find something. */
const EVERY_MS = 300_000;

/** Has the people of the sample world go on, as long as it is one: what runs have settled is followed by something new. */
export function startSampleLife(
  databases: RegionDatabases,
  served: () => readonly PlacedJob[],
  log: Log,
): Poller {
  return startPoller(
    EVERY_MS,
    async () => {
      for (const region of new Set(served().flatMap(({ regions }) => regions))) {
        const { open, owner } = databases.of(region);
        if (open && (await isSampleWorld(owner))) await liveOnWhereDone(owner, region);
      }
    },
    (error) => log.error({ code: 'sample-unchanged', err: error }, `sample: ${messageOf(error)}`),
    { restFirst: true },
  );
}

/** The same, unless what happened last still waits for a run: so a world that nobody runs jobs in does not grow. */
async function liveOnWhereDone(owner: pg.Pool, region: string): Promise<void> {
  const { rows } = await owner.query<{ waits: boolean }>(
    `select exists (select from directory.account
                    where home_region = $1 and state = 'UNMANAGED' and email like 'joiner.%') as waits`,
    [region],
  );
  if (rows[0]?.waits === false) await liveOn(owner, region);
}

/** One account at one domain of each organisation, of those whose claim would be honest; another choice each time. */
const JOIN = `
with open as (
  select distinct on (o.id) o.id as organisation, d.name
  from directory.domain d
  join directory.organisation o on o.id = d.organisation_id
  join directory.request r on r.id = d.request_id and r.organisation_id = d.organisation_id
  where d.home_region = $1 and d.state = 'VERIFIED' and d.absent_at is null and r.withdrawn_at is null
    and r.requested_by is not null and o.consent = 'all' and o.suspended_at is null
  order by o.id, random()
), chosen as (
  select name, row_number() over (order by random()) as number from open order by random() limit $2
), joined as (
  insert into directory.account (id, email, email_verified, kind, home_region, state)
  select $3 || '-' || number, 'joiner.' || substr(md5($3 || number), 1, 12) || '@' || name, true, 'person', $1, 'UNMANAGED'
  from chosen
  returning id
)
insert into directory.product_use (account_id, product) select id, 'Jira' from joined`;

const COME_DUE = `
update directory.domain set next_check_at = clock_timestamp()
where home_region = $1 and state = 'VERIFIED' and proof = 'dns' and absent_at is null and request_id is not null`;
