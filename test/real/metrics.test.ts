import { beforeAll, describe, expect, test } from '@jest/globals';
import { EventFeed } from '../../src/events/follow.js';
import { createHttpApp } from '../../src/server/app.js';
import { listen } from '../../src/server/listen.js';
import { databasesAt } from '../http/serving.js';
import { createLogger } from '../../src/telemetry/log.js';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.js';
import type { Phase, Stage } from '../../src/telemetry/metrics/runs.js';
import { requireProgram } from '../support/debian-package.js';
import { testDatabase } from '../support/database.js';
import { runProgram, type Said } from '../support/program.js';

const { owner } = await testDatabase();
let promtool = '';

beforeAll(async () => {
  promtool = await requireProgram('promtool', 'prometheus');
}, 300_000);

/** Every recorder, each used at least once: a metric without a sample is one that promtool has not seen. */
function recordEverything(metrics: Metrics): void {
  const place = { job: 'domain-claim', region: 'eu-west-1' };
  const version = '1.0.0_9f3c2a1b';
  metrics.runFinished({ ...place, version, status: 'succeeded', reasonCode: 'done', durationMs: 1_234 });
  for (const phase of ['elect', 'plan', 'judge', 'apply', 'finish'] satisfies Phase[]) {
    metrics.phaseFinished({ ...place, phase, durationMs: 20 });
  }
  for (const stage of ['planned', 'applied', 'conflicted'] satisfies Stage[]) {
    metrics.changes({ ...place, version, kind: 'claim', stage, count: 40 });
  }
  metrics.leaseTakenOver(place);
  metrics.gateState({ ...place, state: 'open' });
  metrics.permitSeconds({ ...place, seconds: 12.5 });
  metrics.flagAge(Infinity, 'embedded');
  metrics.flagSourceProblem('embedded', 'unreachable');
  metrics.dnsAnswer('NXDOMAIN');
  metrics.incidents([
    {
      ...{ job: 'domain-claim', states: { open: 1 }, oldestAt: 1_772_356_200_000, units: 3 },
      rows: { changed: 40, restored: 39, conflicting: 1 },
    },
  ]);
  metrics.outcomeReported(place);
  const rule = { ...place, rule: 'claims-per-run' };
  metrics.guardVerdict({ ...rule, verdict: 'fail' });
  metrics.guardEvidence({ ...rule, measure: 'p', value: 3e-9 });
  metrics.guardTrip(rule);
  metrics.tripSeconds('fence', 0.02);
  const shares = [{ region: place.region, share: 0.01 }];
  const bakeProgress = { runs: 0.5, changes: 1, time: 0.25 };
  metrics.rollouts(
    [
      {
        job: place.job,
        version,
        shares,
        skippedBakes: [{ region: place.region, bakes: 1 }],
        stepAgeSeconds: 60,
        bakeProgress,
      },
    ],
    1,
  );
  metrics.breakGlass([{ ...place, version, permille: 100 }]);
  metrics.notificationTried('delivered');
  metrics.notificationBacklog({ pending: 1, dead: 0 });
}

/** What promtool says of an exposition: nothing, where it finds nothing to complain about. */
const complaints = (exposition: string): Promise<Said> =>
  runProgram(promtool, ['check', 'metrics'], { stdin: exposition });

describe('promtool check metrics', () => {
  test('finds nothing to complain about in what /metrics answers', async () => {
    const metrics = createMetrics();
    recordEverything(metrics);
    const listening = await listen(
      createHttpApp({
        control: owner,
        regionDatabases: databasesAt(owner),
        feed: new EventFeed(() => []),
        receivers: 0,
        dropGate: () => Promise.reject(new Error('not in this test')),
        metrics,
        log: createLogger({ level: 'silent' }),
        flags: {
          source: () => ({
            kind: 'embedded',
            url: null,
            heardAt: null,
            ageMs: null,
            polledMs: null,
            problem: null,
          }),
          list: () => Promise.resolve([]),
          set: () => Promise.reject(new Error('not in this test')),
          look: () => ({ open: false, code: 'flag-unknown', reason: 'not in this test' }),
          evaluate: () => Promise.resolve({ value: 'hold' }),
        },
        jobs: () => [],
        installed: () => [],
        files: [],
        uploadBytes: 0,
        readiness: () => Promise.resolve([]),
        examine: () => Promise.resolve([]),
      }),
      { port: 0 },
    );
    try {
      await (await fetch(`${listening.url}/healthz`)).text();
      const response = await fetch(`${listening.url}/metrics`);
      expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
      const text = await response.text();
      expect(await complaints(text)).toEqual({ exit: 0, stdout: '', stderr: '' });
      const ours = [...text.matchAll(/^# TYPE (portcullis_\w+)/gm)].map(([, name]) => name ?? '');
      const unused = ours.filter((name) => !new RegExp(`^${name}(_count)?[{ ]`, 'm').test(text));
      expect(ours.length).toBeGreaterThan(10);
      expect(unused).toEqual([]);
    } finally {
      await listening.close();
    }
  });

  test('would complain about a gauge that is named as a counter', async () => {
    const text =
      '# HELP portcullis_odd_total Odd.\n# TYPE portcullis_odd_total gauge\nportcullis_odd_total 1\n';
    expect(await complaints(text)).toMatchObject({ exit: 3 });
  });
});
