import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { onlyVersion, versionsNamed } from '../kernel/version-named.js';
import { inTransaction } from '../postgres/pool.js';
import { lockGate } from '../gate/lock.js';
import { readGate } from '../gate/permit.js';

/** What becomes of the slots missed while the gate was killed: nothing, or one run to catch up. */
export type OnRearm = 'skip' | 'once';

export interface RearmOrder {
  readonly job: string;
  readonly region: string;
  /** The epoch that was seen when the re-arm was asked for: a kill since then wins. */
  readonly epoch: number;
  readonly reason: string;
  readonly by: string;
  readonly onRearm: OnRearm;
}

/**
 * Takes a kill back: the gate is held again, and opens when its flag says so. Throws GATE_NOT_KILLED, and
 * REARM_OUTDATED when the gate was killed again since the re-arm was asked for.
 */
export async function rearmGate(owner: pg.Pool, order: RearmOrder): Promise<void> {
  await inTransaction(owner, async (client) => {
    await lockGate(client, order.job, order.region, 'exclusive');
    const gate = await readGate(client, order.job, order.region);
    const where = `${order.job} in ${order.region}`;
    if (gate.state !== 'killed') throw notKilled(where);
    if (gate.epoch !== order.epoch) throw killedAgain(where, gate, order.epoch);
    await client.query(
      `update portcullis_region.gate
       set state = 'held', stopped = false, reason_code = 'rearmed', reason = $3, changed_at = clock_timestamp(),
           forget_slots_before = case when $4 = 'skip' then clock_timestamp() else forget_slots_before end,
           catch_up_once = $4 = 'once'
       where job = $1 and region = $2`,
      [order.job, order.region, `re-armed by ${order.by}: ${order.reason}`, order.onRearm],
    );
  });
}

export function killedAgain(
  where: string,
  gate: { readonly epoch: number; readonly reason: string },
  asked: number,
): PortcullisError {
  return new PortcullisError(
    'REARM_OUTDATED',
    `${where} was killed again since this re-arm was asked for: ${gate.reason}`,
    {
      hint: 'look at what happened, and submit a new request',
      details: { epoch: gate.epoch, asked },
    },
  );
}

export function notKilled(where: string): PortcullisError {
  return new PortcullisError('GATE_NOT_KILLED', `${where} is not killed`, {
    hint: 'portcullis status shows what holds it',
  });
}

/** Lets a quarantined version act again where flags give it a share. Answers whether it was quarantined. */
export async function liftQuarantine(owner: pg.Pool, job: string, version: string): Promise<boolean> {
  const { rowCount } = await owner.query(
    'delete from portcullis_region.quarantine where job = $1 and version = $2',
    [job, version],
  );
  return (rowCount ?? 0) > 0;
}

/**
 * The quarantined version that a name means: see `versionsNamed`. Throws VERSION_NOT_QUARANTINED where no region's
 * database has such a one, and VERSION_UNKNOWN where several are meant.
 */
export async function quarantinedVersion(
  regions: readonly pg.Pool[],
  job: string,
  meant: string,
): Promise<string> {
  const looks = await Promise.allSettled(
    regions.map(async (region) => {
      const { rows } = await region.query<{ version: string }>(
        'select version from portcullis_region.quarantine where job = $1',
        [job],
      );
      return rows.map(({ version }) => version);
    }),
  );
  const quarantined = [
    ...new Set(looks.flatMap((look) => (look.status === 'fulfilled' ? look.value : []))),
  ].sort();
  if (versionsNamed(meant, quarantined).length > 0) return onlyVersion(job, meant, quarantined);
  // One that could not be asked may be the one.
  for (const look of looks) if (look.status === 'rejected') throw look.reason;
  throw notQuarantined(job, meant, quarantined);
}

export function notQuarantined(
  job: string,
  version: string,
  quarantined: readonly string[] = [],
): PortcullisError {
  return new PortcullisError('VERSION_NOT_QUARANTINED', `${job} ${version} is not quarantined`, {
    hint:
      quarantined.length === 0
        ? 'portcullis status shows which versions are'
        : `these versions are quarantined: ${quarantined.slice(0, 10).join(', ')}`,
    details: { job, version, quarantined: quarantined.slice(0, 100) },
  });
}
