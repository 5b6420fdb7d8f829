import type { Random } from './random.js';
import type { ZoneScene } from './sample-token.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Times of a domain and its request, as milliseconds before now (negative: to come); undefined: none. */
export interface DomainTimes {
  readonly requested: number;
  readonly verified?: number | undefined;
  readonly proofSeen?: number | undefined;
  readonly checked?: number | undefined;
  readonly nextCheck?: number | undefined;
  readonly absent?: number | undefined;
  readonly absentAgain?: number | undefined;
  readonly atRisk?: number | undefined;
}

/** What is wrong with who asked for the domain. */
export type RequestFlaw =
  'no-request' | 'nobody-asked' | 'admin-removed' | 'withdrawn' | 'another-organisation';

/** A part that some of each region's domains play. */
export interface DomainScene {
  readonly state: string;
  readonly perRegion: number;
  readonly zone: readonly ZoneScene[];
  readonly times: (random: Random) => DomainTimes;
  readonly proof?: 'dns' | 'https';
  readonly flaw?: RequestFlaw;
  /** Its name is another organisation's too: that of a freshly verified domain, or of its twin. */
  readonly rival?: 'owner' | 'twin';
}

const some = (random: Random, least: number, most: number): number => random.between(least, most);

const pending = (random: Random): DomainTimes => ({
  requested: some(random, HOUR_MS, 5 * DAY_MS),
  checked: some(random, 15 * MINUTE_MS, 50 * MINUTE_MS),
  nextCheck: some(random, 0, 10 * MINUTE_MS),
});

/** Asked for long ago, verified soon after, and last seen so long ago; the next check is a day after that. */
const verified =
  (least: number, most: number) =>
  (random: Random): DomainTimes => {
    const requested = some(random, 40 * DAY_MS, 700 * DAY_MS);
    const proofSeen = some(random, least, most);
    return {
      requested,
      verified: requested - some(random, HOUR_MS, 48 * HOUR_MS),
      proofSeen,
      checked: proofSeen,
      nextCheck: proofSeen - DAY_MS,
    };
  };
const fresh = verified(HOUR_MS, 20 * HOUR_MS);

/** A verified domain whose record has been missing: since when it is at risk, and its next check. */
const missing =
  (least: number, most: number) =>
  (random: Random): DomainTimes => {
    const atRisk = some(random, least, most);
    return {
      ...verified(atRisk + DAY_MS, atRisk + DAY_MS + HOUR_MS)(random),
      atRisk,
      absent: atRisk + HOUR_MS,
      absentAgain: atRisk + 30 * MINUTE_MS,
      checked: HOUR_MS,
      nextCheck: some(random, 0, 5 * MINUTE_MS),
    };
  };

/** No longer checked. */
const over =
  (times: (random: Random) => DomainTimes) =>
  (random: Random): DomainTimes => ({ ...times(random), nextCheck: undefined });
const asked =
  (leastDays: number, mostDays: number) =>
  (random: Random): DomainTimes => {
    const requested = some(random, leastDays * DAY_MS, mostDays * DAY_MS);
    return { requested, checked: requested - 6 * DAY_MS };
  };
const contested = (random: Random): DomainTimes => {
  const requested = some(random, 2 * DAY_MS, 10 * DAY_MS);
  const proofSeen = requested - some(random, HOUR_MS, DAY_MS);
  return { requested, proofSeen, checked: proofSeen };
};

const SHOWN: readonly ZoneScene[] = ['present', 'present', 'present', 'crowded', 'split'];
const GONE: readonly ZoneScene[] = ['absent', 'nodata'];
const UNWELL: readonly ZoneScene[] = ['servfail', 'refused'];

/** 150 domains a region, so that each region has every case, and each of the job's moves something to do. */
export const DOMAIN_SCENES: readonly DomainScene[] = [
  { state: 'VERIFIED', perRegion: 46, zone: SHOWN, times: fresh, proof: 'dns' },
  { state: 'VERIFIED', perRegion: 2, zone: GONE, times: fresh, proof: 'https' },
  // Due: seen again, missing for the first time, missing for the second time, and not to be reached for days.
  {
    state: 'VERIFIED',
    perRegion: 6,
    zone: SHOWN,
    times: verified(DAY_MS, DAY_MS + 10 * MINUTE_MS),
    proof: 'dns',
  },
  {
    state: 'VERIFIED',
    perRegion: 2,
    zone: GONE,
    times: verified(DAY_MS, DAY_MS + 10 * MINUTE_MS),
    proof: 'dns',
  },
  {
    state: 'VERIFIED',
    perRegion: 2,
    zone: GONE,
    times: (random) => ({
      ...verified(25 * HOUR_MS, 26 * HOUR_MS)(random),
      checked: HOUR_MS,
      absent: HOUR_MS,
      absentAgain: 30 * MINUTE_MS,
      nextCheck: some(random, 0, 5 * MINUTE_MS),
    }),
    proof: 'dns',
  },
  {
    state: 'VERIFIED',
    perRegion: 3,
    zone: UNWELL,
    times: (random) => ({
      ...verified(8 * DAY_MS, 20 * DAY_MS)(random),
      checked: HOUR_MS,
      nextCheck: some(random, 0, 5 * MINUTE_MS),
    }),
    proof: 'dns',
  },
  // Verified once, but nobody with the right to stands behind it: no claims.
  { state: 'VERIFIED', perRegion: 1, zone: GONE, times: fresh, proof: 'dns', flaw: 'no-request' },
  { state: 'VERIFIED', perRegion: 1, zone: SHOWN, times: fresh, proof: 'dns', flaw: 'nobody-asked' },
  { state: 'VERIFIED', perRegion: 1, zone: SHOWN, times: fresh, proof: 'dns', flaw: 'admin-removed' },
  { state: 'VERIFIED', perRegion: 1, zone: SHOWN, times: fresh, proof: 'dns', flaw: 'withdrawn' },

  { state: 'PENDING', perRegion: 22, zone: SHOWN, times: pending },
  { state: 'PENDING', perRegion: 6, zone: GONE, times: pending },
  { state: 'PENDING', perRegion: 3, zone: ['another'], times: pending },
  { state: 'PENDING', perRegion: 2, zone: ['quoted'], times: pending },
  { state: 'PENDING', perRegion: 2, zone: UNWELL, times: pending },
  // For the runs after the first.
  {
    state: 'PENDING',
    perRegion: 6,
    zone: SHOWN,
    times: (random) => ({ ...pending(random), nextCheck: -some(random, 3 * MINUTE_MS, 40 * MINUTE_MS) }),
  },
  // The token's seven days are over.
  {
    state: 'PENDING',
    perRegion: 3,
    zone: GONE,
    times: (random) => ({ ...pending(random), requested: some(random, 7 * DAY_MS + HOUR_MS, 9 * DAY_MS) }),
  },
  { state: 'PENDING', perRegion: 1, zone: GONE, times: pending, flaw: 'no-request' },
  { state: 'PENDING', perRegion: 1, zone: SHOWN, times: pending, flaw: 'nobody-asked' },
  { state: 'PENDING', perRegion: 1, zone: SHOWN, times: pending, flaw: 'admin-removed' },
  { state: 'PENDING', perRegion: 1, zone: SHOWN, times: pending, flaw: 'withdrawn' },
  { state: 'PENDING', perRegion: 1, zone: SHOWN, times: pending, flaw: 'another-organisation' },
  { state: 'PENDING', perRegion: 1, zone: SHOWN, times: pending, rival: 'owner' },

  // At risk: still missing, back again, and missing for longer than the grace.
  { state: 'AT_RISK', perRegion: 4, zone: GONE, times: missing(DAY_MS, 5 * DAY_MS), proof: 'dns' },
  { state: 'AT_RISK', perRegion: 2, zone: SHOWN, times: missing(DAY_MS, 5 * DAY_MS), proof: 'dns' },
  {
    state: 'AT_RISK',
    perRegion: 1,
    zone: GONE,
    times: missing(7 * DAY_MS + HOUR_MS, 8 * DAY_MS),
    proof: 'dns',
  },

  { state: 'LAPSED', perRegion: 5, zone: GONE, times: over(missing(10 * DAY_MS, 30 * DAY_MS)), proof: 'dns' },
  { state: 'EXPIRED', perRegion: 9, zone: GONE, times: asked(8, 60) },
  { state: 'REMOVED', perRegion: 6, zone: GONE, times: asked(60, 400) },
  { state: 'CONTESTED', perRegion: 4, zone: SHOWN, times: contested, proof: 'dns', rival: 'twin' },
  { state: 'CONTESTED', perRegion: 1, zone: SHOWN, times: contested, proof: 'dns', rival: 'owner' },
  { state: 'SUPERSEDED', perRegion: 3, zone: GONE, times: asked(20, 400), rival: 'owner' },
];
