import { describe, expect, test } from '@jest/globals';
import { createMetrics } from '../../../src/telemetry/metrics.js';

const place = { job: 'domain-claim', region: 'eu-west-1' };
const claim = { ...place, version: '1.0.0_aa', kind: 'claim' } as const;

/** The lines of one metric's samples. */
function samples(text: string, name: string): string[] {
  return text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
}

describe('the metrics', () => {
  test('count a run by outcome and time it in seconds', async () => {
    const metrics = createMetrics();
    const run = { ...place, version: '1.0.0_aa', status: 'succeeded', reasonCode: 'done', durationMs: 1_500 };
    metrics.runFinished(run);
    const text = await metrics.text();
    expect(samples(text, 'portcullis_runs_total')).toEqual([
      'portcullis_runs_total{job="domain-claim",region="eu-west-1",version="1.0.0_aa",status="succeeded",reason_code="done"} 1',
    ]);
    expect(samples(text, 'portcullis_run_duration_seconds_sum')[0]).toMatch(/ 1\.5$/);
  });

  test('begin the changes of a version at 0, so that its first run is a rise', async () => {
    const metrics = createMetrics();
    metrics.changesExpected({ ...place, version: '1.0.0_aa', kinds: ['claim'] });
    const begun = samples(await metrics.text(), 'portcullis_changes_total');
    expect(begun.map((line) => line.replace(/.*stage="(\w+)"} /, '$1 '))).toEqual([
      'planned 0',
      'applied 0',
      'conflicted 0',
    ]);
    metrics.changes({ ...claim, stage: 'applied', count: 40 });
    // Said again, as whenever policies change, it takes nothing back.
    metrics.changesExpected({ ...place, version: '1.0.0_aa', kinds: ['claim'] });
    expect(samples(await metrics.text(), 'portcullis_changes_total')[1]).toMatch(/ 40$/);
    expect(samples(await metrics.text(), 'portcullis_run_changes')).toHaveLength(1);
  });

  test('show the changes of the last run, and the sum and spread of all', async () => {
    const metrics = createMetrics();
    metrics.changes({ ...claim, stage: 'applied', count: 40 });
    metrics.changes({ ...claim, stage: 'applied', count: 2 });
    const text = await metrics.text();
    expect(samples(text, 'portcullis_run_changes')).toHaveLength(1);
    expect(samples(text, 'portcullis_run_changes')[0]).toMatch(/ 2$/);
    expect(samples(text, 'portcullis_changes_total')[0]).toMatch(/ 42$/);
    expect(samples(text, 'portcullis_changes_per_run_count')[0]).toMatch(/ 2$/);
    expect(text).toContain('le="2",job="domain-claim",region="eu-west-1",kind="claim",stage="applied"} 1');
  });

  test('show a new version in place of the version before it', async () => {
    const metrics = createMetrics();
    metrics.changes({ ...claim, stage: 'planned', count: 40 });
    metrics.changes({ ...claim, version: '2.0.0_bb', stage: 'planned', count: 5 });
    const shown = samples(await metrics.text(), 'portcullis_run_changes');
    expect(shown).toHaveLength(1);
    expect(shown[0]).toMatch(/version="2\.0\.0_bb".* 5$/);
  });

  test('show a gate in exactly one state', async () => {
    const metrics = createMetrics();
    metrics.gateState({ ...place, state: 'open' });
    metrics.gateState({ ...place, state: 'killed' });
    const states = samples(await metrics.text(), 'portcullis_gate_state');
    expect(states.filter((line) => line.endsWith(' 1'))).toEqual([
      'portcullis_gate_state{job="domain-claim",region="eu-west-1",state="killed"} 1',
    ]);
    expect(states).toHaveLength(3);
  });

  test('refresh ages at every scrape', async () => {
    const metrics = createMetrics();
    let age = 1;
    metrics.onScrape(() => {
      metrics.flagAge(age, 'embedded');
    });
    await metrics.text();
    age = 7;
    expect(samples(await metrics.text(), 'portcullis_flag_age_seconds')[0]).toMatch(/ 7$/);
  });

  test('still answer when a refresh fails, and count it', async () => {
    const metrics = createMetrics();
    metrics.onScrape(() => Promise.reject(new Error('database away')));
    metrics.onScrape(() => {
      throw new Error('at once');
    });
    expect(samples(await metrics.text(), 'portcullis_scrape_refresh_failures_total')[0]).toMatch(/ 2$/);
  });

  test('stand apart from each other', async () => {
    const [one, other] = [createMetrics(), createMetrics()];
    one.dnsAnswer('NXDOMAIN');
    expect(samples(await one.text(), 'portcullis_dns_answers_total')).toHaveLength(1);
    expect(samples(await other.text(), 'portcullis_dns_answers_total')).toHaveLength(0);
  });

  test('show a permit that lapsed as 0, a source never heard as infinite', async () => {
    const metrics = createMetrics();
    metrics.permitSeconds({ ...place, seconds: -12 });
    metrics.flagAge(Infinity, 'unleash');
    const text = await metrics.text();
    expect(samples(text, 'portcullis_gate_permit_remaining_seconds')[0]).toMatch(/ 0$/);
    expect(samples(text, 'portcullis_flag_age_seconds')[0]).toMatch(/ \+Inf$/);
  });
});
