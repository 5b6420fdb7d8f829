import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { requireProgram } from './debian-package.js';
import { until } from './until.js';

/** A real server of Debian's, on loopback, with its data in a folder of its own. */
export interface RealServer {
  readonly url: string;
  /** Ends it, and takes its data away. May be called again. */
  stop(): Promise<void>;
}

/** A port of loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A Prometheus that scrapes `target` (host:port) every second, and sends alerts to `alertmanager` (host:port). */
export async function startPrometheus(setup: {
  readonly port: number;
  readonly target: string;
  readonly alertmanager: string;
  /** A file of rules, YAML. */
  readonly rules: string;
  /** Let the target's own label `job` stay, as dashboards/prometheus/prometheus.yml does. */
  readonly honorLabels?: boolean;
  /** Another configuration than this one; it reads rules.yml. */
  readonly config?: string;
}): Promise<RealServer> {
  const program = await requireProgram('prometheus', 'prometheus');
  const config = `
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - static_configs: [{ targets: ['${setup.alertmanager}'] }]
scrape_configs:
  - job_name: portcullis
    honor_labels: ${setup.honorLabels ?? false}
    static_configs: [{ targets: ['${setup.target}'] }]
`;
  const files = { 'prometheus.yml': setup.config ?? config, 'rules.yml': setup.rules };
  return start(program, setup.port, files, (folder) => [
    `--config.file=${join(folder, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${setup.port}`,
    // So that what is resolved is told at once.
    '--rules.alert.resend-delay=1s',
  ]);
}

/** An Alertmanager that sends every alert to a webhook with a bearer token, at once. */
export async function startAlertmanager(setup: {
  readonly port: number;
  readonly webhook: string;
  readonly token: string;
  /** Another configuration than this one. */
  readonly config?: string;
}): Promise<RealServer> {
  const program = await requireProgram('prometheus-alertmanager', 'prometheus-alertmanager');
  const config = `
route: { receiver: portcullis, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 5s }
receivers:
  - name: portcullis
    webhook_configs:
      - url: ${setup.webhook}
        http_config: { authorization: { credentials: '${setup.token}' } }
`;
  return start(program, setup.port, { 'alertmanager.yml': setup.config ?? config }, (folder) => [
    `--config.file=${join(folder, 'alertmanager.yml')}`,
    `--storage.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${setup.port}`,
    '--cluster.listen-address=',
  ]);
}

async function start(
  program: string,
  port: number,
  files: Readonly<Record<string, string>>,
  args: (folder: string) => readonly string[],
): Promise<RealServer> {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-prometheus-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  const child = spawn(program, args(folder), { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)));
  const url = `http://127.0.0.1:${port}`;
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= end(child, folder));
  try {
    await until(`${program} ready`, () => {
      if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`);
      return fetch(`${url}/-/ready`).then(
        (response) => response.ok,
        () => false,
      );
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, stop };
}

async function end(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  }
  await rm(folder, { recursive: true, force: true });
}
