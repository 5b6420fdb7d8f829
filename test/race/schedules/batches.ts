import { inShare, type Breach } from './gates.js';
import type { Played } from './play.js';
import type { Variant } from '../../../src/flags/variant.js';

/** A batch that committed, and how things stood as it did. */
export interface Batch {
  readonly tick: number;
  readonly run: string;
  readonly lane: number;
  readonly from_seq: number;
  readonly to_seq: number;
  readonly attempt: number;
  readonly permitted: boolean;
  readonly process: string;
  readonly standing: {
    readonly region: string;
    readonly version: string;
    readonly restore: boolean;
    readonly epoch: number | null;
    readonly versionEpoch: number;
    readonly versionEpochNow: number;
    readonly attempt: number;
    readonly worker: string;
    readonly status: string;
    readonly judged: boolean;
    readonly laneAttempt: number;
    readonly confirmed: boolean;
    readonly gate: string;
    readonly gateEpoch: number;
    readonly stopped: boolean;
    readonly variants: readonly Variant[];
    readonly quarantined: boolean;
  };
  readonly units: readonly string[];
  /** How many changes its run has planned, and when that was. */
  readonly planned: number;
  readonly planned_tick: number;
}

export interface Acknowledged {
  readonly tick: number;
  readonly region: string;
  readonly version: string | null;
  readonly restores_too: boolean;
}

/** Everything that a batch must have had when it committed. */
export function batchBreaches(
  { world, asked, approved }: Played,
  batches: readonly Batch[],
  acknowledged: readonly Acknowledged[],
): Breach[] {
  const breaches: Breach[] = [];
  const { cap } = world.schedule;
  // A second quarantine, after one that was lifted, may hold in one region and not yet in the next.
  const lifted = asked.some(
    ({ id, region }) => region === undefined && approved.some((each) => each.id === id),
  );
  for (const batch of batches) {
    const { standing } = batch;
    const what = `batch ${batch.run.slice(0, 8)}/${batch.lane}/${batch.to_seq} of ${batch.process}, tick ${batch.tick}`;
    const demand = (held: boolean, promise: string, how: string): void => {
      if (!held) breaches.push({ promise, how: `${what}: ${how}` });
    };
    for (const kill of acknowledged) {
      const inScope =
        kill.region === standing.region &&
        (standing.restore ? kill.restores_too : (kill.version ?? standing.version) === standing.version);
      const outran = inScope && batch.tick > kill.tick && batch.planned_tick < kill.tick;
      demand(
        !outran,
        'a kill is a fence',
        `committed after the kill that was acknowledged at tick ${kill.tick}`,
      );
    }
    demand(!standing.stopped, 'a kill is a fence', 'committed while everything was stopped');
    demand(standing.confirmed, 'a person confirms a database', 'committed while nobody had confirmed it');
    demand(
      standing.status === 'applying' && standing.judged,
      'judged before the first write',
      `its run was ${standing.status}`,
    );
    demand(
      standing.attempt === batch.attempt &&
        standing.laneAttempt === batch.attempt &&
        batch.process === `portcullis ${standing.worker}`,
      'one owner',
      `the run was ${standing.worker}'s, attempt ${standing.attempt}`,
    );
    if (standing.restore) continue;
    demand(standing.gate === 'open', 'closed by default', `the gate was ${standing.gate}`);
    demand(batch.permitted, 'closed by default', 'the permit had lapsed');
    demand(
      standing.gateEpoch === standing.epoch,
      'closed by default',
      `admitted under epoch ${standing.epoch ?? 0}, the gate's was ${standing.gateEpoch}`,
    );
    demand(
      standing.versionEpochNow === standing.versionEpoch,
      'closed by default',
      `admitted under its version's epoch ${standing.versionEpoch}, which was ${standing.versionEpochNow}`,
    );
    const quarantined = acknowledged.some(
      ({ region, version, tick }) =>
        region === standing.region && version === standing.version && tick < batch.tick,
    );
    demand(
      !(standing.quarantined && quarantined && !lifted),
      'a kill is a fence',
      'its version was quarantined here',
    );
    demand(
      cap === undefined || batch.planned <= cap,
      'judged before the first write',
      `${batch.planned} planned, at most ${cap ?? 0}`,
    );
    for (const unit of batch.units) {
      const { region, version } = standing;
      const shared = inShare(standing.variants, { job: world.job, region, version, unit });
      demand(shared, 'a version acts within its share', `${unit} is not in the share of ${version}`);
    }
  }
  return breaches;
}

/** Each lane's batches lie end to end: nothing is applied twice, and nothing is left out. */
export function laneBreaches(batches: readonly Batch[]): Breach[] {
  const reached = new Map<string, number>();
  const breaches: Breach[] = [];
  for (const { run, lane, from_seq, to_seq } of batches) {
    const key = `${run}/${lane}`;
    if (from_seq !== (reached.get(key) ?? 0)) {
      breaches.push({
        promise: 'a slot runs once',
        how: `${key} went from ${reached.get(key) ?? 0} to ${from_seq}`,
      });
    }
    reached.set(key, to_seq);
  }
  return breaches;
}
