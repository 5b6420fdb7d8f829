import type pg from 'pg';
import { receiveAlerts, type Fate } from '../../../src/guard/bake/alerts.js';
import { dropGateBy } from '../../../src/containment/drop-gate.js';
import { firingAlerts } from '../../../src/guard/bake/browse-alerts.js';
import type { Breach } from './gates.js';
import type { Step } from './schedule.js';
import type { World } from './world.js';

/** An alert that was sent, and what became of it. */
export interface SentAlert {
  readonly region: string;
  readonly name: string;
  /** The version that it blames; null: none. */
  readonly version: string | null;
  readonly startsAt: string;
  /** When it ended, as Alertmanager says; null: it fires. */
  readonly endsAt: string | null;
  readonly fate: Fate;
}

/** Alertmanager sends again what was not handled; it goes on for longer than this. */
const TRIES = 5;

/** Sends an alert as Alertmanager does: again, until it is handled. */
export async function sendAlert(
  world: World,
  { region: n, alert, firing, status }: Extract<Step, { do: 'alert' }>,
): Promise<SentAlert> {
  const { job, stage } = world;
  const region = world.region(n);
  const name = `burns-${alert}`;
  const version = alert === 0 ? null : world.version(0).version;
  const startsAt = new Date(Date.UTC(2026, 0, 1, 0, firing)).toISOString();
  const ended = new Date(Date.UTC(2026, 0, 1, 0, firing, 30)).toISOString();
  const endsAt = status === 'resolved' ? ended : null;
  const { operator: control, base } = stage;
  const desk = {
    control,
    targets: new Map([[job, await world.policyInForce()]]),
    dropGate: dropGateBy(() => control, base.trips),
    requireMay: () => undefined,
  };
  const sent = {
    ...{ status, startsAt, fingerprint: `${region} ${name}` },
    endsAt: endsAt ?? '0001-01-01T00:00:00Z',
    labels: {
      ...{ alertname: name, portcullis_job: job, portcullis_region: region },
      ...(version !== null && { portcullis_version: version }),
    },
    annotations: {},
  };
  for (let tries = 1; ; tries += 1) {
    const [answer] = await receiveAlerts(desk, [sent]);
    if (!answer) throw new Error('an alert was not answered');
    const { fate, reason } = answer;
    if (fate !== 'failed') return { region, name, version, startsAt, endsAt, fate };
    if (tries === TRIES) throw new Error(`an alert failed ${TRIES} times: ${reason}`);
  }
}

interface AlertTrip {
  readonly region: string;
  readonly alert: string;
  readonly startsAt: string;
  readonly times: number;
  readonly fenced: boolean;
}

const TRIPS = `
  select region, failed->0->'figures'->>'alert' as alert, failed->0->'figures'->>'startsAt' as "startsAt",
    count(*) as times, bool_or(fenced_at is not null) as fenced
  from portcullis_region.trip where job = $1 and stage = 'bake' group by 1, 2, 3`;

/**
 * A firing alert kills, in whatever order it comes, and once however often; and nothing fires of which Alertmanager has
 * said that it is over.
 */
export async function alertBreaches(
  owner: pg.Pool,
  { job, regions }: Pick<World, 'job' | 'regions'>,
  sent: readonly SentAlert[],
): Promise<Breach[]> {
  if (sent.length === 0) return [];
  const breaches: Breach[] = [];
  const breach = (how: string): void => void breaches.push({ promise: 'an alert kills once', how });
  const { rows: trips } = await owner.query<AlertTrip>(TRIPS, [job]);
  for (const { region, name, startsAt } of sent.filter(({ endsAt }) => endsAt === null)) {
    const what = `${name} of ${startsAt} in ${region}`;
    const trip = trips.find(
      (each) => each.region === region && each.alert === name && each.startsAt === startsAt,
    );
    if (trip?.fenced !== true) breach(`${what} has killed nothing`);
    else if (trip.times > 1) breach(`${what} has killed ${trip.times} times`);
  }
  for (const region of regions) {
    const fires = (await firingAlerts(owner, job, region)).map(({ name }) => name).sort();
    const should = stillFiring(sent.filter((each) => each.region === region));
    if (String(fires) !== String(should))
      breach(`${fires.join(', ') || 'nothing'} fires in ${region}, not ${should.join(', ') || 'nothing'}`);
  }
  return breaches;
}

/** The names of alerts that began after the last end that was told. */
function stillFiring(sent: readonly SentAlert[]): string[] {
  const fires = sent.filter(
    ({ name, startsAt, endsAt }) =>
      endsAt === null &&
      !sent.some((other) => other.name === name && other.endsAt !== null && other.endsAt >= startsAt),
  );
  return [...new Set(fires.map(({ name }) => name))].sort();
}
