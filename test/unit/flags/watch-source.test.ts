import { afterEach, describe, expect, test } from '@jest/globals';
import { foreignDesk } from '../../../src/flags/flag-desk.js';
import { featureOf } from '../../../src/flags/flag-row.js';
import { watchSource } from '../../../src/flags/watch-source.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { ToldSource } from '../../support/flag-sources.js';
import { until } from '../../support/until.js';

const FLAG = 'domain-claim.eu-west-1';
const SHARES = [{ version: '1.0.0', permille: 1000 }];

describe('the watch over a flag source', () => {
  let unwatch = (): void => undefined;
  afterEach(() => unwatch());

  function watched(maxAgeMs = 60_000) {
    const source = new ToldSource();
    const lines: { code: string; message: string }[] = [];
    const counted: string[] = [];
    unwatch = watchSource(source, {
      log: createLogger({
        level: 'info',
        to: { write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[number]) },
      }),
      metrics: { flagSourceProblem: (_, problem) => counted.push(problem) },
      maxAgeMs,
      advice: (code) => `advice for ${code}`,
      everyMs: 1,
    });
    return { source, lines, counted, codes: () => lines.map(({ code }) => code) };
  }

  test.each(['flag-unauthorised', 'flag-unreachable', 'flag-malformed'] as const)(
    'logs %s once when it begins and once when it ends',
    (code) => {
      const { source, lines, codes, counted } = watched();
      source.say('domain-claim', 'eu-west-1', true, SHARES);
      for (let at = 0; at < 3; at += 1) source.fail({ code, reason: `responded ${at}` });
      const begun = code.replace('flag-', 'flag-source-');
      expect(codes()).toEqual([begun]);
      expect(lines[0]?.message).toBe(`responded 0; advice for ${code}`);
      source.sayUnchanged();
      source.sayUnchanged();
      expect(codes()).toEqual([begun, 'flag-source-heard']);
      expect(counted).toEqual([code.replace('flag-', '')]);
      source.fail({ code, reason: 'again' });
      expect(codes()).toHaveLength(3);
    },
  );

  test('notices flags that become stale, which nothing announces', async () => {
    const { source, lines, codes } = watched(1_000);
    source.say('domain-claim', 'eu-west-1', true, SHARES);
    source.fail({ code: 'flag-unreachable', reason: 'connect ECONNREFUSED' });
    source.nowMs = 1_001;
    await until('it is logged', () => codes().includes('flag-source-stale'));
    expect(codes()).toEqual(['flag-source-unreachable', 'flag-source-stale']);
    expect(lines[1]?.message).toContain('last heard 1.0 s ago: flags are closed');
    source.sayUnchanged();
    expect(codes().at(-1)).toBe('flag-source-heard');
  });

  test('logs a malformed flag once, by its name, and when it is sound again', () => {
    const { source, codes } = watched();
    const bad = { ...featureOf(FLAG, true, SHARES), strategies: [{ name: 'gradualRolloutRandom' }] };
    source.sayFeatures([bad as never]);
    source.sayFeatures([bad as never]);
    expect(codes()).toEqual(['flag-malformed']);
    source.sayFeatures([featureOf(FLAG, true, SHARES)]);
    expect(codes()).toEqual(['flag-malformed', 'flag-sound']);
  });

  test('tells of a problem that was there before it', () => {
    const source = new ToldSource();
    source.fail({ code: 'flag-unauthorised', reason: 'responded 401' });
    const lines: string[] = [];
    unwatch = watchSource(source, {
      log: createLogger({ level: 'info', to: { write: (line) => void lines.push(line) } }),
      metrics: { flagSourceProblem: () => undefined },
      maxAgeMs: 1,
      advice: () => 'replace the token',
    });
    expect(lines).toEqual([expect.stringContaining('responded 401; replace the token')]);
  });
});

describe('flags of a server that is not ours', () => {
  const governed = () => Promise.resolve([{ job: 'domain-claim', regions: ['eu-west-1', 'us-east-1'] }]);

  test('are listed as it says they are, of the regions that policies name', async () => {
    const source = new ToldSource();
    const desk = foreignDesk(source, 'https://unleash.example/api', governed);
    expect(desk.source()).toEqual({
      ...{ kind: 'told', url: 'https://unleash.example/api', heardAt: null, ageMs: null, problem: null },
      polledMs: null,
    });
    expect(await desk.list()).toEqual([]);
    source.sayFeatures([featureOf(FLAG, false, SHARES), featureOf('other-team.eu-west-1', true, SHARES)]);
    source.nowMs = 400;
    expect(await desk.list()).toEqual([
      {
        ...{ name: FLAG, job: 'domain-claim', region: 'eu-west-1', enabled: false, variants: SHARES },
        ...{ revision: 1, reason: null, changedBy: null, changedAt: null },
        ...{ admitted: [], beyond: [], breakGlass: [] },
      },
    ]);
    expect(desk.source()).toMatchObject({ ageMs: 400, heardAt: expect.stringMatching(/Z$/) });
    source.fail({ code: 'flag-unreachable', reason: 'gone' });
    source.nowMs = 5_400;
    const { problem } = desk.source();
    expect(problem).toMatchObject({ code: 'flag-unreachable', reason: 'gone' });
    expect(Math.abs(Date.now() - 5_000 - Date.parse(problem?.since ?? ''))).toBeLessThan(2_000);
  });

  test('are not set, and the refusal says where and what instead', async () => {
    const desk = foreignDesk(new ToldSource(), 'https://unleash.example/api', governed);
    const change = {
      job: 'domain-claim',
      region: 'eu-west-1',
      enabled: false,
      reason: 'x',
      changedBy: 'ann',
    };
    await expect(desk.set(change)).rejects.toMatchObject({
      code: 'FLAGS_ELSEWHERE',
      message: expect.stringContaining('https://unleash.example/api'),
      hint: expect.stringContaining('portcullis kill domain-claim --region eu-west-1'),
    });
  });
});
