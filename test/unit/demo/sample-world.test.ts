import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseDomainName } from '../../../src/jobs/domain-claim/domain-name.js';
import { parseEmailAddress } from '../../../src/jobs/domain-claim/email-address.js';
import { challengeName, isToken } from '../../../src/jobs/domain-claim/proof.js';
import { seededRandom } from '../../../src/demo/random.js';
import { sampleDirectory } from '../../../src/demo/sample-directory.js';
import { SAMPLE_REGIONS } from '../../../src/demo/sample-rows.js';
import { ZONE_SCENES, mintToken, sceneOf } from '../../../src/demo/sample-token.js';
import { zoneOf } from '../../../src/demo/sample-zone.js';
import type { ZoneAnswer } from '../../../src/demo/zone-answer.js';

const now = new Date('2026-03-01T12:00:00Z');
const world = sampleDirectory({ seed: 'portcullis', now });

function countBy<T>(rows: readonly T[], key: (row: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const each of rows.map(key)) counts[each] = (counts[each] ?? 0) + 1;
  return counts;
}

describe('the seeded generator', () => {
  test('gives the same for the same seed and else for another', () => {
    const draw = (seed: string): number[] => {
      const random = seededRandom(seed);
      return Array.from({ length: 20 }, () => random.unit());
    };
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a')).not.toEqual(draw('b'));
  });

  test('is even enough', () => {
    const random = seededRandom('even');
    const counts = countBy(Array.from({ length: 60_000 }), () => String(random.between(1, 6)));
    expect(Object.keys(counts).toSorted()).toEqual(['1', '2', '3', '4', '5', '6']);
    for (const count of Object.values(counts)) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });

  test('shuffles to a permutation, and weighs', () => {
    const random = seededRandom('shuffle');
    const list = Array.from({ length: 50 }, (_, index) => index);
    const shuffled = random.shuffled(list);
    expect(shuffled).not.toEqual(list);
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(list);
    const drawn = countBy(Array.from({ length: 10_000 }), () =>
      random.weighted({ often: 9, rarely: 1, never: 0 }),
    );
    expect(drawn['never']).toBeUndefined();
    expect(drawn['rarely']).toBeGreaterThan(850);
    expect(drawn['rarely']).toBeLessThan(1_150);
  });
});

describe('the sample directory', () => {
  test('is as large as it says, and equally large in each region', () => {
    expect([world.organisation.length, world.domain.length, world.account.length]).toEqual([
      300, 900, 20_000,
    ]);
    for (const region of SAMPLE_REGIONS) {
      expect(world.organisation.filter((row) => row.home_region === region)).toHaveLength(50);
      expect(world.domain.filter((row) => row.home_region === region)).toHaveLength(150);
      const accounts = world.account.filter((row) => row.home_region === region).length;
      expect(Math.abs(accounts - 3_333)).toBeLessThan(100);
    }
  });

  test('depends on nothing but the seed, and on the time by shifting it', () => {
    // As text: to compare so many rows value by value takes seconds.
    const text = (seed: string, at: Date): string => JSON.stringify(sampleDirectory({ seed, now: at }));
    const same = JSON.stringify(world);
    expect(text('portcullis', now) === same).toBe(true);
    expect(text('other', now) === same).toBe(false);
    const later = text('portcullis', new Date(now.getTime() + 1_234));
    const shifted = same.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (time) =>
      new Date(Date.parse(time) + 1_234).toISOString(),
    );
    expect(later === shifted).toBe(true);
  });

  test('has every state, kind and consent', () => {
    expect(Object.keys(countBy(world.domain, (row) => row.state)).toSorted()).toEqual([
      'AT_RISK',
      'CONTESTED',
      'EXPIRED',
      'LAPSED',
      'PENDING',
      'REMOVED',
      'SUPERSEDED',
      'VERIFIED',
    ]);
    expect(Object.keys(countBy(world.account, (row) => row.state)).toSorted()).toEqual([
      'CONFLICT',
      'EXCLUDED',
      'MANAGED',
      'RELEASED',
      'UNMANAGED',
    ]);
    expect(Object.keys(countBy(world.account, (row) => row.kind)).toSorted()).toEqual([
      'bot',
      'person',
      'service',
    ]);
    expect(Object.keys(countBy(world.organisation, (row) => row.consent)).toSorted()).toEqual([
      'all',
      'none',
      'selected',
    ]);
  });

  test('has what the job must refuse', () => {
    const requests = new Map(world.request.map((row) => [row.id, row]));
    const requestOf = (id: string | null) => (id === null ? undefined : requests.get(id));
    expect(world.organisation.filter((row) => row.suspended_at !== null)).toHaveLength(12);
    expect(world.admin.filter((row) => row.removed_at !== null).length).toBeGreaterThan(5);
    expect(world.domain.filter((row) => row.request_id === null)).toHaveLength(12);
    expect(world.request.filter((row) => row.requested_by === null)).toHaveLength(12);
    expect(world.request.filter((row) => row.withdrawn_at !== null)).toHaveLength(12);
    const strangers = world.domain.filter(({ request_id, organisation_id }) => {
      const request = requestOf(request_id);
      return request !== undefined && request.organisation_id !== organisation_id;
    });
    expect(strangers).toHaveLength(6);
    expect(world.account.filter((row) => row.deleted_at !== null).length).toBeGreaterThan(50);
    expect(world.account.filter((row) => !row.email_verified).length).toBeGreaterThan(300);
    expect(world.account.filter((row) => !parseEmailAddress(row.email).ok).length).toBeGreaterThan(200);
  });

  test('has names that the job can look up, in its canonical form, and tokens that it takes', () => {
    for (const { name } of world.domain) expect(parseDomainName(name)).toEqual({ ok: true, name });
    for (const { token } of world.request) expect(isToken(token)).toBe(true);
    expect(new Set(world.request.map((row) => row.token)).size).toBe(world.request.length);
  });

  test('shares names between rivals alone, and no name has two owners', () => {
    const owned = world.domain.filter((row) => row.state === 'VERIFIED' || row.state === 'AT_RISK');
    expect(new Set(owned.map((row) => row.name)).size).toBe(owned.length);
    const shared = countBy(world.domain, (row) => row.name);
    const pairs = Object.entries(shared).filter(([, count]) => count > 1);
    expect(pairs.every(([, count]) => count === 2)).toBe(true);
    expect(pairs).toHaveLength(6 * (2 + 1 + 1 + 3));
    expect(new Set(world.domain.map((row) => `${row.name} ${row.organisation_id}`)).size).toBe(900);
  });

  test('keeps the order of times that a claim demands, wherever there are such times', () => {
    const requests = new Map(world.request.map((row) => [row.id, row]));
    for (const domain of world.domain) {
      const request = requests.get(domain.request_id ?? '');
      const times = [
        request?.requested_at,
        request?.token_issued_at,
        domain.check_started_at,
        domain.proof_seen_at,
        now.toISOString(),
      ].filter((time) => time !== undefined && time !== null);
      expect(times).toEqual(times.toSorted());
      for (const time of [domain.verified_at, domain.checked_at, domain.absent_at, domain.at_risk_since]) {
        if (time !== null && request !== undefined) expect(time > request.token_issued_at).toBe(true);
        if (time !== null) expect(time <= now.toISOString()).toBe(true);
      }
    }
  });
});

describe('the sample zone', () => {
  const domains = world.domain.flatMap((domain) => {
    const request = world.request.find((row) => row.id === domain.request_id);
    return request === undefined ? [] : [{ ...domain, token: request.token }];
  });
  const zone = zoneOf(domains);
  const texts = (answer: ZoneAnswer): string[] =>
    answer.kind === 'txt' ? answer.values.map((value) => [value].flat().join('')) : [];

  test('shows what each token was minted for', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ZONE_SCENES), fc.string(), (scene, seed) => {
        const token = mintToken(seededRandom(seed), scene);
        expect(token).toMatch(/^[0-9a-f]{32}$/);
        expect(sceneOf(token)).toBe(scene);
      }),
    );
  });

  test('has the proof of most pending domains, and of some nothing, another’s, or a fault', () => {
    const pending = domains.filter((row) => row.state === 'PENDING');
    const kinds = countBy(pending, (row) => {
      const answer = zone(challengeName(row.name));
      if (answer.kind !== 'txt') return answer.kind;
      return texts(answer).includes(`token=${row.token}`) ? 'proof' : 'other';
    });
    expect(kinds['proof']).toBeGreaterThan(pending.length * 0.6);
    expect(kinds['other']).toBe(30);
    expect((kinds['servfail'] ?? 0) + (kinds['refused'] ?? 0)).toBe(12);
    expect((kinds['nxdomain'] ?? 0) + (kinds['nodata'] ?? 0)).toBeGreaterThan(40);
  });

  test('shows a token of another organisation where it is to be refused', () => {
    const tokens = new Map(domains.map((row) => [`token=${row.token}`, row.organisation_id]));
    const foreign = domains.filter((row) => sceneOf(row.token) === 'another');
    expect(foreign).toHaveLength(18);
    for (const row of foreign) {
      const owners = texts(zone(challengeName(row.name))).map((text) => tokens.get(text));
      expect(owners).toHaveLength(1);
      expect(owners[0]).toBeDefined();
      expect(owners[0]).not.toBe(row.organisation_id);
    }
  });

  test('knows no other names, and has no data above those it knows', () => {
    expect(zone('_portcullis-challenge.nowhere-0.com')).toEqual({ kind: 'nxdomain' });
    const shown = domains.find((row) => sceneOf(row.token) === 'present');
    expect(zone(shown?.name ?? '')).toEqual({ kind: 'nodata' });
  });
});
