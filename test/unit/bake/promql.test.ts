import { describe, expect, test } from '@jest/globals';
import type { AbsenceRule, PromqlRule } from '../../../src/flags/guard-policy.js';
import { judgeAbsence, judgeScrape, scrapeQuery } from '../../../src/guard/bake/judge-candidate.js';
import { fillQuery, judgePromql } from '../../../src/guard/bake/judge-promql.js';
import type { PrometheusAnswer } from '../../../src/guard/bake/prometheus.js';

const place = { job: 'domain-claim', region: 'eu-west-1', version: '1.2.0-rc.1+9f3c2a1b' };
const at = (seconds: number): Date => new Date(Date.UTC(2026, 2, 1, 0, 0, seconds));
const above: PromqlRule = { kind: 'promql', name: 'errors', query: 'q', above: 5, forMs: 60_000 };
const found = (...values: number[]): PrometheusAnswer => ({ answered: true, values });
const silent: PrometheusAnswer = { answered: false, problem: 'connect ECONNREFUSED' };

function say(rule: PromqlRule, answers: PrometheusAnswer[], since: string | null = null, seconds = 0) {
  const { judged, state } = judgePromql(rule, answers, { since }, at(seconds));
  return { verdict: judged.verdict, reason: judged.reason, since: state.since };
}

describe('a query', () => {
  test('has its job, region and version filled in, and nothing that could be more than a value', () => {
    const query = 'rate(x{exported_job="{{job}}", region="{{ region }}", version="{{version}}"}[5m])';
    expect(fillQuery(query, place)).toBe(
      'rate(x{exported_job="domain-claim", region="eu-west-1", version="1.2.0-rc.1+9f3c2a1b"}[5m])',
    );
    expect(() => fillQuery(query, { ...place, version: '1.0.0"} or vector(0)' })).toThrow(RangeError);
    expect(fillQuery('up', { ...place, job: '"' })).toBe('up');
  });

  test('fails once it has been on its wrong side for as long as the rule says, and not before', () => {
    expect(say(above, [found(6)])).toEqual({
      ...{ verdict: 'too-few', since: at(0).toISOString() },
      reason: 'errors: 6 is above 5 for 0 ms of 1 min',
    });
    expect(say(above, [found(6)], at(0).toISOString(), 59).verdict).toBe('too-few');
    expect(say(above, [found(6)], at(0).toISOString(), 60).verdict).toBe('fail');
    expect(say(above, [found(5)], at(0).toISOString(), 59)).toMatchObject({ verdict: 'pass', since: null });
    expect(say({ ...above, forMs: 0 }, [found(5.1)])).toMatchObject({
      verdict: 'fail',
      reason: 'errors: 5.1 is above 5',
    });
  });

  test('fails below, where the rule says so; of several series the worst counts', () => {
    const below: PromqlRule = { kind: 'promql', name: 'errors', query: 'q', below: 1, forMs: 0 };
    expect(say(below, [found(3, 0.5, 2)])).toMatchObject({
      verdict: 'fail',
      reason: 'errors: 0.5 is below 1',
    });
    expect(say(below, [found(1)]).verdict).toBe('pass');
    expect(say({ ...above, forMs: 0 }, [found(3, Infinity)]).verdict).toBe('fail');
  });

  test('that finds nothing is no data: neither good nor bad', () => {
    expect(say(above, [found()], at(0).toISOString())).toEqual({
      ...{ verdict: 'no-data', reason: 'errors: the query finds nothing', since: null },
    });
  });

  test('that nobody answers is unreachable, and keeps since when it was wrong', () => {
    expect(say(above, [silent], at(0).toISOString())).toEqual({
      ...{ verdict: 'unreachable', reason: 'errors: connect ECONNREFUSED', since: at(0).toISOString() },
    });
    expect(say(above, [])).toMatchObject({
      ...{ verdict: 'unreachable', reason: 'errors: the policy names no Prometheus for this region' },
    });
  });

  test('is answered by whichever server answers; where they disagree, the worse counts', () => {
    const now = { ...above, forMs: 0 };
    expect(say(now, [silent, found(1)]).verdict).toBe('pass');
    expect(say(now, [found(1), found(9)]).verdict).toBe('fail');
    expect(say(now, [found(), found(9)]).verdict).toBe('fail');
    expect(say(now, [found(), found(1)])).toMatchObject({
      ...{ verdict: 'no-data', reason: 'errors: on one server the query finds nothing' },
    });
  });
});

test('a partial answer shows that a query is wrong, and never that it is right', () => {
  const partial = (...values: number[]): PrometheusAnswer => ({
    ...{ answered: true, values, partial: 'No StoreAPIs matched for this query' },
  });
  expect(say(above, [partial(0.01)], at(0).toISOString())).toEqual({
    ...{ verdict: 'unreachable', since: at(0).toISOString() },
    reason: 'errors: the answer is partial: No StoreAPIs matched for this query',
  });
  expect(say(above, [partial()]).verdict).toBe('unreachable');
  expect(say(above, [partial(0.01), silent]).verdict).toBe('unreachable');
  expect(say({ ...above, forMs: 0 }, [partial(9)]).verdict).toBe('fail');
  expect(say(above, [partial(0.01), found(1)]).verdict).toBe('pass');
  expect(say(above, [partial(0.01), found()]).verdict).toBe('no-data');
  const scrape = { kind: 'absence', name: 'silence', of: 'scrape', longerThanMs: 60_000 } as const;
  expect(judgeScrape(scrape, [partial()], at(0), at(300)).verdict).toBe('unreachable');
  expect(judgeScrape(scrape, [partial(1)], at(0), at(300)).verdict).toBe('pass');
});

test('a series that is NaN beside numbers is no evidence: no pass and no failure, and the verdict says which', () => {
  const beside = (nan: readonly string[], ...values: number[]): PrometheusAnswer => ({
    ...{ answered: true, values, nan },
  });
  const now = { ...above, forMs: 0 };
  expect(say(now, [beside(['e{i="b"}'], 0.01)], at(0).toISOString())).toEqual({
    ...{ verdict: 'no-data', reason: 'errors: no evidence, since NaN: e{i="b"}', since: null },
  });
  expect(say(now, [beside(['e{i="b"}'])]).verdict).toBe('no-data');
  expect(say(now, [found(1), beside(['e{i="b"}'], 1)]).verdict).toBe('no-data');
  // What is found wrong is wrong whatever is missing.
  expect(say(now, [beside(['e{i="b"}'], 9)])).toMatchObject({
    ...{ verdict: 'fail', reason: 'errors: 9 is above 5; no evidence, since NaN: e{i="b"}' },
  });
  const many = Array.from({ length: 7 }, (_, series) => `s${series}`);
  expect(say(now, [beside(many, 1)]).reason).toBe(
    'errors: no evidence, since NaN: s0, s1, s2, s3, s4 and 2 more',
  );
});

describe('absence', () => {
  const rule: AbsenceRule = { kind: 'absence', name: 'silence', of: 'run', longerThanMs: 60_000 };

  test('is missing data once it lasts for longer than the rule says', () => {
    expect(judgeAbsence(rule, at(0), at(-600), at(60))).toMatchObject({
      ...{ verdict: 'pass', reason: 'silence: the last run of this version 1 min ago, limit 1 min' },
    });
    expect(judgeAbsence(rule, at(0), at(-600), at(61))).toMatchObject({ verdict: 'no-data' });
  });

  test('of what never came counts from when it was looked out for', () => {
    expect(judgeAbsence(rule, null, at(0), at(60)).verdict).toBe('pass');
    expect(judgeAbsence(rule, null, at(0), at(90))).toMatchObject({
      ...{ verdict: 'no-data', reason: 'silence: no run of this version for 1 min 30 s, limit 1 min' },
    });
    expect(judgeAbsence(rule, at(-600), at(0), at(60)).verdict).toBe('pass');
  });

  test('of scrapes is what Prometheus says of us', () => {
    const scrape = { ...rule, of: 'scrape' } as const;
    expect(judgeScrape(scrape, [found(1)], at(0), at(300)).verdict).toBe('pass');
    expect(judgeScrape(scrape, [found()], at(0), at(300)).verdict).toBe('no-data');
    expect(judgeScrape(scrape, [found()], at(0), at(30)).verdict).toBe('pass');
    expect(judgeScrape(scrape, [found(1), found()], at(0), at(300)).verdict).toBe('no-data');
    expect(judgeScrape(scrape, [silent], at(0), at(300)).verdict).toBe('unreachable');
    expect(scrapeQuery(place, 90_000)).toContain(
      'portcullis_gate_state{exported_job="domain-claim",region="eu-west-1"}[90s]',
    );
  });
});
