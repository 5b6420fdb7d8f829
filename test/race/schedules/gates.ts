import { bucketsOf } from '../../../src/kernel/bucketing.js';
import { flagName } from '../../../src/flags/definition.js';
import type { Played } from './play.js';
import type { Variant } from '../../../src/flags/variant.js';

/** A gate's state as the database remembers it. */
export interface GateMoment {
  readonly tick: number;
  readonly region: string;
  readonly state: 'open' | 'held' | 'killed';
  readonly epoch: number;
  readonly flag_revision: number;
  readonly variants: readonly Variant[];
  readonly stopped: boolean;
  readonly version_epochs: Readonly<Record<string, number>>;
  /** Whether a person had confirmed the database. */
  readonly confirmed: boolean;
}

export interface Request {
  readonly id: string;
  readonly action: string;
  readonly region: string | null;
  readonly request: {
    readonly gates?: readonly { readonly region: string; readonly epoch: number }[];
    readonly version?: string;
  };
  readonly carried: boolean;
}

/** A broken promise: which, and how it shows. */
export interface Breach {
  readonly promise: string;
  readonly how: string;
}

/** The version that a flag's variants give a bucket to; reckoned here anew, and not by the product. */
function versionAt(variants: readonly Variant[], bucket: number): string | undefined {
  let upTo = 0;
  for (const { version, permille } of variants) {
    upTo += permille;
    if (bucket <= upTo) return version;
  }
  return undefined;
}

/** Whether a version has a unit's bucket in a region. */
export function inShare(
  variants: readonly Variant[],
  of: { readonly job: string; readonly region: string; readonly version: string; readonly unit: string },
): boolean {
  return versionAt(variants, bucketsOf(flagName(of.job, of.region))(of.unit)) === of.version;
}

/** Everything that one gate's moves must keep to. */
export function gateBreaches(
  played: Played,
  gate: readonly GateMoment[],
  requests: readonly Request[],
): Breach[] {
  const breaches: Breach[] = [];
  const breach = (promise: string, how: string): void => void breaches.push({ promise, how });
  const unused = requests.filter(({ action, carried }) => action === 'rearm' && carried);
  let revision = 0;
  gate.forEach((now, at) => {
    const before = gate[at - 1];
    const what = `${now.region} at tick ${now.tick}: ${before?.state ?? 'nothing'} to ${now.state}`;
    if (now.state === 'open') {
      const given = played.world.given.get(`${now.region} ${now.flag_revision}`);
      if (given === undefined || given.length === 0 || !sameVariants(given, now.variants)) {
        breach('closed by default', `${what}: no flag ever gave that (revision ${now.flag_revision})`);
      }
    }
    if (now.state === 'open' && before?.state !== 'open' && !now.confirmed) {
      breach('a person confirms a database', `${what}: it opened while nobody had confirmed the database`);
    }
    if (now.flag_revision < revision) {
      breach('closed by default', `${what}: on news of revision ${now.flag_revision}, ${revision} was known`);
    }
    revision = Math.max(revision, now.flag_revision);
    if (!before) return;
    if (now.epoch < before.epoch) breach('a kill is a fence', `${what}: the epoch went back`);
    if (now.epoch === before.epoch && closed(before, now)) {
      breach('a kill is a fence', `${what}: it closed, and the epoch is still ${now.epoch}`);
    }
    if (now.epoch !== before.epoch && now.state === 'open') {
      breach('a version stops alone', `${what}: it did not close, and the epoch went to ${now.epoch}`);
    }
    for (const version of now.epoch === before.epoch ? losers(before, now) : []) {
      const [had = 0, has = 0] = [before.version_epochs[version], now.version_epochs[version]];
      if (has <= had)
        breach('a kill is a fence', `${what}: ${version} lost units, and its epoch is still ${has}`);
    }
    if (before.state !== 'killed') return;
    if (now.state === 'killed') {
      if (before.stopped && !now.stopped) breach('a kill latches', `${what}: a stop was forgotten`);
      return;
    }
    const by = unused.findIndex(
      ({ request }) =>
        request.gates?.some(({ region, epoch }) => region === now.region && epoch === before.epoch) === true,
    );
    if (by === -1 || now.state !== 'held') breach('a kill latches', `${what}: nobody approved that`);
    unused.splice(by, by === -1 ? 0 : 1);
  });
  return breaches;
}

function sameVariants(one: readonly Variant[], other: readonly Variant[]): boolean {
  return (
    one.length === other.length &&
    one.every(({ version, permille }, n) => other[n]?.version === version && other[n].permille === permille)
  );
}

/** Whether a kill came, or the flag closed the gate. */
function closed(before: GateMoment, now: GateMoment): boolean {
  if (now.state === 'killed') return before.state !== 'killed';
  return before.state === 'open' && now.state === 'held';
}

/** The versions that lost some bucket while the gate stayed open. */
function losers(before: GateMoment, now: GateMoment): ReadonlySet<string> {
  const lost = new Set<string>();
  if (before.state !== 'open' || now.state !== 'open') return lost;
  if (sameVariants(before.variants, now.variants)) return lost;
  for (let bucket = 1; bucket <= 1000; bucket += 1) {
    const had = versionAt(before.variants, bucket);
    if (had !== undefined && versionAt(now.variants, bucket) !== had) lost.add(had);
  }
  return lost;
}

/** Four eyes: every approval was by someone who may, and who had not asked. */
export function approvalBreaches({ world, asked, approved }: Played): Breach[] {
  return approved.flatMap(({ id, by }) => {
    const request = asked.find((each) => each.id === id);
    const may = by === 'bob' || by === 'cat' || (by === 'dan' && request?.region === world.region(0));
    const self = request?.by === by;
    return may && !self
      ? []
      : [{ promise: 'a kill latches', how: `${by} approved what ${request?.by ?? 'nobody'} had asked for` }];
  });
}
