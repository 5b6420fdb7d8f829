import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { testDatabase } from '../support/database.js';
import { shippedPolicy } from '../support/far-slot.js';
import { portcullis, temporaryFolder, type Running } from '../support/portcullis.js';
import { freePort, startAlertmanager, startPrometheus, type RealServer } from '../support/prometheus.js';
import { rulesText } from '../support/dashboard-queries.js';
import { until } from '../support/until.js';
import { tokenOf } from '../support/people.js';

/**
 * The shipped rule, the shipped route and the shipped policy, together: what a real run of the shipped job does makes
 * the alert fire, and that kills the gate. Of the shipped files only addresses, the scrape interval and the schedule
 * are other ones.
 */

const { owner, url: databaseUrl } = await testDatabase();
const JOB = 'domain-claim';
const REGION = 'eu-west-1';
/** The rule waits for a minute. */
const LONG_MS = 280_000;

const shipped = (path: string): Promise<string> =>
  readFile(new URL(`../../dashboards/${path}`, import.meta.url), 'utf8');

let serving: Running | undefined;
let prometheus: RealServer | undefined;
let alertmanager: RealServer | undefined;
let env: Record<string, string> = {};
let folder = '';

beforeAll(async () => {
  const [http, prometheusPort, alertmanagerPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const target = `127.0.0.1:${http}`;
  const { token } = await tokenOf(owner, { name: 'alertmanager', role: 'worker' });
  folder = await temporaryFolder({ 'domain-claim.yaml': await shippedPolicy(), token });
  env = {
    PORTCULLIS_HOME: join(folder, 'home'),
    PORTCULLIS_FLAGS: folder,
    PORTCULLIS_DATABASE_URL: databaseUrl,
    PORTCULLIS_HTTP: target,
    PORTCULLIS_LOG_LEVEL: 'warn',
  };
  const route = (await shipped('alertmanager/alertmanager.yml'))
    .replace('http://portcullis:7020/', `http://${target}/`)
    .replace('/etc/alertmanager/portcullis-token', join(folder, 'token'));
  expect(route).toContain(target);
  expect(route).toContain(folder);
  alertmanager = await startAlertmanager({
    ...{ port: alertmanagerPort, webhook: '', token: '' },
    config: route,
  });
  const scraping = parse(await shipped('prometheus/prometheus.yml')) as {
    global: object;
    alerting: { alertmanagers: { static_configs: { targets: string[] }[] }[] };
    scrape_configs: { static_configs: { targets: string[] }[] }[];
  };
  scraping.global = { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' };
  scraping.alerting.alertmanagers = [{ static_configs: [{ targets: [`127.0.0.1:${alertmanagerPort}`] }] }];
  for (const each of scraping.scrape_configs) each.static_configs = [{ targets: [target] }];
  const config = stringify(scraping)
    .replace('portcullis.rules.yml', 'rules.yml')
    .replace(/^.*domain-claim\.rules\.yml\n/m, '');
  prometheus = await startPrometheus({
    ...{ port: prometheusPort, target, alertmanager: '', config },
    rules: await rulesText(),
  });
  serving = portcullis(['start', '--sample', '--json'], { env });
}, 400_000);

afterAll(async () => {
  serving?.child.kill('SIGTERM');
  await serving?.finished;
  await prometheus?.stop();
  await alertmanager?.stop();
});

/** The value of a query that finds one series. */
async function asked(query: string): Promise<number | undefined> {
  const response = await fetch(
    `${prometheus?.url ?? ''}/api/v1/query?${new URLSearchParams({ query }).toString()}`,
  );
  const { data } = (await response.json()) as { data: { result: { value: [number, string] }[] } };
  return data.result.length === 1 ? Number(data.result[0]?.value[1]) : undefined;
}

test(
  'a spike in real runs fires the shipped alert, which goes the shipped route, and the gate is killed',
  async () => {
    const claims = `sum(portcullis_changes_total{job="${JOB}",region="${REGION}",kind="claim",stage="applied"})`;
    // Before any run: its counter is there, so that the first run is a rise.
    await until('Prometheus has seen no claim', async () => (await asked(claims)) === 0, LONG_MS);
    // The sample world's first run claims hundreds.
    const often = (await shippedPolicy()).replace(/^schedule: .*$/m, `schedule: '*/5 * * * * *'`);
    const other = await temporaryFolder({ 'domain-claim.yaml': often });
    const applied = portcullis(['flags', 'apply'], { env: { ...env, PORTCULLIS_FLAGS: other } });
    expect(await applied.finished).toMatchObject({ code: 0 });
    await until('Prometheus has seen claims', async () => ((await asked(claims)) ?? 0) > 300, LONG_MS);

    const gate = await until(
      'the gate killed',
      async () => {
        const { rows } = await owner.query<{ state: string; by: string; reason: string }>(
          `select state, killed_by as by, reason from portcullis_region.gate
           where job = $1 and region = $2 and state = 'killed'`,
          [JOB, REGION],
        );
        return rows[0];
      },
      LONG_MS,
    );
    expect(gate.by).toBe('guard:claims-spike');
    expect(gate.reason).toMatch(
      /^claims-spike: PortcullisClaimsSpike fires: domain-claim makes [\d.]+ changes of kind claim a second in eu-west-1, over 10 times the rate of the day before$/,
    );
    const alerts = await until('the alert kept', async () => {
      const { rows } = await owner.query(
        `select name, regions, labels ->> 'severity' as severity from portcullis_control.alert
         where killed_at is not null and $1 = any(regions)`,
        [REGION],
      );
      return rows.length > 0 && rows;
    });
    expect(alerts).toEqual([{ name: 'PortcullisClaimsSpike', regions: [REGION], severity: 'critical' }]);
    const incident = await until('the incident', async () => {
      const { rows } = await owner.query<{ facts: Record<string, unknown> }>(
        `select i.evidence #> '{0,facts}' as facts from portcullis_control.trip t
         join portcullis_control.incident i on i.id = t.incident where t.region = $1`,
        [REGION],
      );
      return rows[0];
    });
    // It names no version: the region is closed.
    expect(incident.facts).toMatchObject({ closed: 'region', closedWhy: 'no version is named' });
  },
  3 * LONG_MS,
);
