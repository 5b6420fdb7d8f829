import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JobDefinition } from '../../../src/sdk/contract.js';
import { domainClaim } from '../../../src/jobs/domain-claim/job.js';
import { lostCondition } from '../../../src/demo/incident/lost-condition/job.js';
import { PlainFlag, REFRESH_SECONDS } from '../../../src/demo/incident/plain-flag.js';
import { claimsOverTime } from '../../../src/demo/incident/plots.js';
import { policyWith } from '../../../src/demo/incident/policies.js';
import { reportPage } from '../../../src/demo/incident/report-page.js';
import { replayJson } from '../../../src/demo/incident/result-json.js';
import { organisationsOf, regionsOf } from '../../../src/demo/incident/world.js';
import { worldZone } from '../../../src/demo/incident/zone.js';
import { RESULT } from './replay-result.js';

describe('the size of the world', () => {
  test('has as many organisations in each region', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2_000, max: 2_000_000 }),
        fc.integer({ min: 1, max: 6 }),
        (accounts, regions) => {
          const size = { accounts, regions, seed: 1 };
          expect(regionsOf(size)).toHaveLength(regions);
          expect(organisationsOf(size) % regions).toBe(0);
          expect(organisationsOf(size)).toBeLessThan(accounts / 2);
        },
      ),
    );
  });
});

describe('the faulty version', () => {
  test('declares what the stable one does, as another version', () => {
    const of = (job: JobDefinition) => [job.name, job.unit, job.resources, job.kinds];
    expect(of(lostCondition)).toEqual(of(domainClaim));
    expect(lostCondition.version).not.toBe(domainClaim.version);
  });
});

describe('a plain flag', () => {
  const regions = ['eu-west-1', 'us-east-1'];

  test('is heard at the next refresh, and not before', async () => {
    const flag = await PlainFlag.start('domain-claim', regions, 3);
    try {
      flag.set(-60, ['eu-west-1']);
      expect(flag.readAt(0)).toEqual(['eu-west-1']);
      flag.set(100, []);
      const heard = flag.nextRefresh(100);
      if (heard > 100) expect(flag.readAt(heard - 1)).toEqual(['eu-west-1']);
      expect(flag.readAt(heard)).toEqual([]);
    } finally {
      flag.close();
    }
  });

  test('is refreshed within its default of 15 seconds, at the same seconds for the same seed', async () => {
    const seconds: number[] = [];
    for (const seed of [1, 2, 3, 4, 5, 6, 7, 8, 1]) {
      const flag = await PlainFlag.start('domain-claim', regions, seed);
      seconds.push(flag.nextRefresh(7_080) - 7_080);
      flag.close();
    }
    expect(Math.min(...seconds)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...seconds)).toBeLessThan(REFRESH_SECONDS);
    expect(new Set(seconds).size).toBeGreaterThan(1);
    expect(seconds.at(-1)).toBe(seconds[0]);
  });
});

describe("the world's DNS", () => {
  test('shows a token where an organisation asks, and none at second domains and at bystanders', async () => {
    const zone = worldZone(1);
    const kindAt = async (domain: string): Promise<string | undefined> =>
      (await zone.txt(`_portcullis-challenge.${domain}`))[0]?.answer.kind;
    expect(await kindAt('company-7.com')).toBe('records');
    expect(await kindAt('company-7-brand.com')).toBe('absent');
    expect(await kindAt('company-7.org')).toBe('absent');
    expect(await kindAt('company-7.com.evil.com')).toBe('absent');
  });
});

describe('the policies of the guarded worlds', () => {
  const regions = ['eu-west-1', 'us-east-1'];

  test('are the shipped one, layer by layer', async () => {
    const [shipped, counts, logins] = await Promise.all(
      (['as shipped', 'without invariants', 'login failures only'] as const).map(
        async (layer) => (await policyWith(layer, regions)).policy,
      ),
    );
    expect(shipped?.regions).toEqual(regions);
    expect(shipped?.guard.caps.length).toBeGreaterThan(0);
    expect(counts?.guard.caps).toEqual(shipped?.guard.caps);
    expect(counts?.guard.rules).toEqual(shipped?.guard.rules.filter(({ kind }) => kind !== 'invariant'));
    expect(logins?.guard.caps).toEqual([]);
    expect(logins?.guard.rules).toEqual(shipped?.guard.rules.filter(({ kind }) => kind === 'outcome'));
    expect({ ...logins, guard: undefined }).toEqual({ ...shipped, guard: undefined });
    expect(shipped?.rollout?.waves.flatMap((wave) => wave.regions)).toEqual(regions);
    expect(shipped?.rollout).toMatchObject({ windows: [], freezes: [] });
  });
});

describe('what a replay tells programs', () => {
  test('is whole milliseconds, which of them are virtual, and null for what did not happen', () => {
    const json = replayJson(RESULT);
    expect(json).toMatchObject({ accounts: 20_000, regions: 2, seed: 7 });
    expect(json.worlds[0]).toMatchObject({
      name: 'ungated',
      detectMs: 7_080_000,
      stopMs: 10_000,
      restoreMs: 529,
      virtual: ['detectMs', 'stopMs'],
      real: ['restoreMs'],
      restoredExactly: false,
      rowsNotAsBefore: 654,
    });
    expect(json.worlds[1]).toMatchObject({
      detectMs: 740,
      stopMs: 0,
      restoreMs: null,
      virtual: [],
      real: ['detectMs', 'stopMs'],
      restoredExactly: true,
    });
    const [unnoticed] = replayJson({
      ...RESULT,
      worlds: RESULT.worlds.map((world) => ({ ...world, detect: null })),
    }).worlds;
    expect(unnoticed).toMatchObject({ detectMs: null, virtual: ['stopMs'] });
  });
});

describe('the report', () => {
  const page = reportPage(RESULT);

  test('loads nothing from anywhere', () => {
    expect(page).not.toMatch(/<(script|link|img|iframe|object)\b/i);
    expect(page).not.toMatch(/\b(src|href)\s*=|url\(|@import|https?:/i);
  });

  test('has every world, its figures and its line, with what came from elsewhere escaped', () => {
    for (const { name } of RESULT.worlds) expect(page).toContain(`role="rowheader">${name}<`);
    expect(page).toContain('4,722');
    expect(page.match(/<path d="M[^>]*stroke=/g)).toHaveLength(2 * RESULT.worlds.length);
    expect(page).toContain('rest on &lt;no request&gt;');
    expect(page).not.toContain('<no request>');
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('can be drawn where nothing went wrong anywhere', () => {
    const untouched = RESULT.worlds.filter(({ wronglyClaimed }) => wronglyClaimed === 0);
    expect(reportPage({ ...RESULT, worlds: untouched })).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('names what every column says where rows are shown as cards', () => {
    const titles = [...page.matchAll(/<th scope="col"[^>]*>([^<]+)<\/th>/g)].map(([, title]) => title);
    const cells = [...page.matchAll(/data-title="([^"]*)"/g)].map(([, title]) => title);
    expect(cells.every((title) => titles.includes(title))).toBe(true);
    expect(cells).toHaveLength(RESULT.worlds.length * (8 + 5));
  });

  test('draws no line and no mark outside its plot', () => {
    const reading = fc.record({ minute: fc.nat(118), wronglyClaimed: fc.nat(2_000_000) });
    fc.assert(
      fc.property(fc.array(fc.array(reading, { minLength: 1 }), { minLength: 1, maxLength: 5 }), (all) => {
        const plot = claimsOverTime(
          all.flatMap((readings) =>
            RESULT.worlds.slice(0, 1).map((world) => ({
              ...world,
              readings,
              wronglyClaimed: Math.max(...readings.map(({ wronglyClaimed }) => wronglyClaimed)),
            })),
          ),
        );
        const drawn = [...plot.matchAll(/ d="([MHV0-9. ]+)"|(?:left|top): ([^%]+)%/g)]
          .filter(([, path]) => path !== 'M0 2H28')
          .flatMap(([, path = '', place = '']) => `${path} ${place}`.match(/-?[\d.]+/g) ?? [])
          .map(Number);
        expect(drawn.length).toBeGreaterThan(0);
        for (const each of drawn) {
          expect(each).toBeGreaterThanOrEqual(0);
          expect(each).toBeLessThanOrEqual(100);
        }
      }),
    );
  });
});
