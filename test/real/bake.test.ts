import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readVerdicts } from '../../src/guard/bake/verdicts.js';
import { testDatabase } from '../support/database.js';
import { portcullis, temporaryFolder, type Running } from '../support/portcullis.js';
import { freePort, startAlertmanager, startPrometheus, type RealServer } from '../support/prometheus.js';
import { until } from '../support/until.js';
import { tokenOf } from '../support/people.js';

const { owner, url: databaseUrl } = await testDatabase();

/** Seconds on a machine of its own. */
const LONG_MS = 150_000;
const TEST_MS = LONG_MS + 10_000;

const JOB = 'domain-claim';
/** Its alert fires; the other's query is asked. */
const ALERTED = 'eu-west-1';
const ASKED = 'eu-central-1';

const policy = (prometheus: string): string => `
job: ${JOB}
schedule: '*/10 * * * * *'
regions: [${ALERTED}, ${ASKED}, us-east-1, us-west-2]
guard:
  prometheus: [{ url: '${prometheus}' }]
  rules:
    - { kind: alert, name: pager, alerts: [ClaimsSpike] }
    - { kind: promql, name: gates, query: 'count(portcullis_gate_state{exported_job="{{job}}"})', below: 1 }
    - kind: promql
      name: conflicts
      query: 'sum(portcullis_run_changes{exported_job="{{job}}",region="{{region}}",version="{{version}}",stage="conflicted"})'
      above: 1000000
`;

/** The first run in the sample world claims hundreds; those after it find nothing left to claim. */
const RULES = `
groups:
  - name: portcullis
    rules:
      - alert: ClaimsSpike
        expr: sum by (region) (portcullis_run_changes{region="${ALERTED}",kind="claim",stage="applied"}) > 50
        labels: { portcullis_job: ${JOB}, portcullis_region: '{{ $labels.region }}' }
        annotations: { summary: '{{ $value }} claims in one run' }
`;

let serving: Running;
let prometheus: RealServer | undefined;
let alertmanager: RealServer | undefined;

beforeAll(async () => {
  const [http, prometheusPort, alertmanagerPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const { token } = await tokenOf(owner, { name: 'alertmanager', role: 'worker' });
  const target = `127.0.0.1:${http}`;
  alertmanager = await startAlertmanager({
    port: alertmanagerPort,
    webhook: `http://${target}/api/v1/hooks/alertmanager`,
    token,
  });
  prometheus = await startPrometheus({
    ...{ port: prometheusPort, target, rules: RULES },
    alertmanager: `127.0.0.1:${alertmanagerPort}`,
  });
  const folder = await temporaryFolder({ 'domain-claim.yaml': policy(prometheus.url) });
  serving = portcullis(['start', '--sample', '--run-now', '--json'], {
    env: {
      PORTCULLIS_HOME: `${folder}/home`,
      PORTCULLIS_FLAGS: folder,
      PORTCULLIS_DATABASE_URL: databaseUrl,
      PORTCULLIS_HTTP: target,
      PORTCULLIS_LOG_LEVEL: 'warn',
    },
  });
  let ended: string | undefined;
  void serving.finished.then(({ stderr }) => (ended = stderr));
  await until(
    'Portcullis serving',
    () => {
      if (ended !== undefined) throw new Error(`Portcullis ended: ${ended}`);
      return fetch(`http://${target}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      );
    },
    TEST_MS,
  );
}, 400_000);

afterAll(async () => {
  serving.child.kill('SIGTERM');
  await serving.finished;
  await prometheus?.stop();
  await alertmanager?.stop();
});

interface Gate {
  readonly state: string;
  readonly killedBy: string | null;
  readonly reason: string;
}

async function gate(region: string): Promise<Gate | undefined> {
  const { rows } = await owner.query<Gate>(
    `select state, killed_by as "killedBy", reason from portcullis_region.gate where job = $1 and region = $2`,
    [JOB, region],
  );
  return rows[0];
}

async function alert(): Promise<{ killed: boolean; resolved: boolean } | undefined> {
  const { rows } = await owner.query<{ killed: boolean; resolved: boolean }>(
    `select killed_at is not null as killed, resolved_at is not null as resolved from portcullis_control.alert`,
  );
  return rows[0];
}

async function verdict(rule: string, of: string): Promise<string | undefined> {
  const said = await readVerdicts(owner, { job: JOB, region: ASKED });
  return said.find((each) => each.rule === rule && each.verdict === of)?.reason;
}

describe('a real Prometheus and a real Alertmanager', () => {
  test(
    'end a spike of claims: the alert fires, and the gate is killed',
    async () => {
      await until('the gate killed', async () => (await gate(ALERTED))?.state === 'killed', LONG_MS);
      expect(await gate(ALERTED)).toMatchObject({
        killedBy: 'guard:pager',
        reason: expect.stringMatching(/^pager: ClaimsSpike fires: \d+ claims in one run$/),
      });
      // The gate is closed before anything is written about it.
      const titles = await until('an incident', async () => {
        const { rows } = await owner.query<{ title: string }>(
          `select evidence #>> '{0,facts,failed,0,reason}' as title from portcullis_control.incident`,
        );
        return rows.length > 0 && rows.map(({ title }) => title);
      });
      expect(titles).toEqual([expect.stringContaining('ClaimsSpike')]);
    },
    TEST_MS,
  );

  test(
    'tell that the alert is resolved, and the gate stays killed',
    async () => {
      await until('the alert resolved', async () => (await alert())?.resolved === true, LONG_MS);
      expect(await alert()).toEqual({ killed: true, resolved: true });
      expect(await gate(ALERTED)).toMatchObject({ state: 'killed' });
    },
    TEST_MS,
  );

  test(
    'answer the queries of a version that bakes',
    async () => {
      await until(
        'both pass',
        async () => (await verdict('gates', 'pass')) && (await verdict('conflicts', 'pass')),
        LONG_MS,
      );
      expect((await gate(ASKED))?.state).toBe('open');
    },
    TEST_MS,
  );

  test(
    'that stop leave their rules unreachable: held, told, and nothing killed',
    async () => {
      await prometheus?.stop();
      await until('unreachable', () => verdict('gates', 'unreachable'), LONG_MS);
      const told = await until(
        'a notice',
        async () => {
          const { rows } = await owner.query<{ title: string }>(
            `select title from portcullis_control.notice where kind = 'hold' and region = $1 order by title`,
            [ASKED],
          );
          return rows.length > 1 && rows.map(({ title }) => title);
        },
        LONG_MS,
      );
      expect(told).toEqual(
        ['conflicts', 'gates'].map((rule) => `${JOB} is held in ${ASKED}: ${rule} is unreachable`),
      );
      expect(await gate(ASKED)).toMatchObject({ state: 'open', killedBy: null });
      expect(await gate(ALERTED)).toMatchObject({ state: 'killed', killedBy: 'guard:pager' });
    },
    TEST_MS,
  );
});
