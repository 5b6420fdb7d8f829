import { execFile } from 'node:child_process';
import { chmod, cp, readFile, readdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { testDatabase } from '../support/database.js';
import { requireProgram } from '../support/debian-package.js';
import { shippedPolicy } from '../support/far-slot.js';
import { temporaryFolder } from '../support/portcullis.js';
import { freePort } from '../support/prometheus.js';
import { until } from '../support/until.js';

/**
 * Every command of every runbook, run in order by a shell against a real installation with a real Prometheus.
 * The tests of this file follow on one another. A `portcullis` in a script is the real command line, but in a
 * process that stays (resident-cli.mjs); what it is as a process of its own, cli.test.ts shows.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAIN = join(ROOT, 'dist/main.js');
const RESIDENT = join(ROOT, 'test/support/resident-cli.mjs');
const RUNBOOKS = join(ROOT, 'docs/runbooks');
const PATIENCE_MS = 300_000;

const database = await testDatabase();
// A slot that came due midway would be the newest run, which is not the one that a runbook is about.
const folder = await temporaryFolder({ 'domain-claim.yaml': await shippedPolicy() });
const home = join(folder, 'home');
const port = await freePort();
const prometheusPort = await freePort();
const env: Record<string, string> = {
  PATH: [folder, process.env['PATH'] ?? ''].join(delimiter),
  PORTCULLIS_DATABASE_URL: database.url,
  PORTCULLIS_HOME: home,
  PORTCULLIS_FLAGS: folder,
  PORTCULLIS_HTTP: `127.0.0.1:${port}`,
  SERVED_AT: `http://127.0.0.1:${port}`,
  PROMETHEUS_URL: `http://127.0.0.1:${prometheusPort}`,
  RESTART: join(folder, 'restart'),
};

interface Ended {
  readonly exit: number;
  readonly out: string;
}

/** Runs a script in a shell that stops at the first command which fails. */
function shell(script: string): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      'bash',
      ['--norc', '-euo', 'pipefail', '-c', script],
      { cwd: folder, env, timeout: PATIENCE_MS, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const exit = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ exit, out: stdout + stderr });
      },
    );
  });
}

async function succeed(script: string): Promise<void> {
  const { exit, out } = await shell(script);
  if (exit === 0) return;
  const tail = async (name: string): Promise<string> =>
    `${name}:\n${(await readFile(join(folder, name), 'utf8').catch(() => '')).slice(-2_000)}`;
  throw new Error([`it ended with ${exit}:`, out, await tail('said'), await tail('log')].join('\n'));
}

const program = (name: string, script: string): Promise<void> =>
  writeFile(join(folder, name), `#!/bin/bash\n${script}\n`).then(() => chmod(join(folder, name), 0o755));

beforeAll(async () => {
  const prometheus = await requireProgram('prometheus', 'prometheus');
  await cp(join(ROOT, 'dashboards'), join(folder, 'dashboards'), { recursive: true });
  await program(
    'portcullis',
    `set -euo pipefail
answer=$(mktemp -p '${folder}')
status=$({ printf '%s\\0' "$#" "$@"; env -0; } |
  curl -sS --unix-socket '${folder}/cli' --data-binary @- -o "$answer" -w '%{http_code}' http://portcullis/)
cat "$answer"
exit $((status - 200))`,
  );
  // How this installation restarts Portcullis: its one process ends, and another begins and becomes ready.
  await program(
    'restart',
    `set -eu
if [ -f pid ]; then kill "$(cat pid)"; while kill -0 "$(cat pid)" 2>/dev/null; do sleep 0.2; done; fi
setsid '${process.execPath}' '${MAIN}' start --sample --run-now >>log 2>&1 </dev/null &
echo $! >pid
until curl -fsS "$SERVED_AT/readyz" >/dev/null 2>&1; do kill -0 "$(cat pid)"; sleep 0.2; done`,
  );
  await program(
    'scrape',
    `sed 's/portcullis:7020/127.0.0.1:${port}/; /alertmanagers:/,+1d; /^alerting:/d' dashboards/prometheus/prometheus.yml >dashboards/prometheus/here.yml
setsid '${prometheus}' --config.file=dashboards/prometheus/here.yml --storage.tsdb.path=tsdb \
  --web.listen-address=127.0.0.1:${prometheusPort} >>prometheus.log 2>&1 </dev/null &
echo $! >prometheus-pid`,
  );
  await succeed(
    `setsid '${process.execPath}' '${RESIDENT}' '${folder}/cli' >>said 2>&1 </dev/null & echo $! >cli-pid`,
  );
  await succeed('restart && scrape && until [ -S cli ]; do sleep 0.1; done');
  await until(
    'every region has run',
    async () => {
      const { out } = await shell('portcullis runs --json --limit 20');
      const { runs } = JSON.parse(out) as { runs: { status: string }[] };
      return runs.filter(({ status }) => status === 'succeeded').length >= 4;
    },
    PATIENCE_MS,
  );
  await until(
    'Prometheus is ready',
    async () => (await shell('curl -fsS "$PROMETHEUS_URL/-/ready"')).exit === 0,
    PATIENCE_MS,
  );
  env['SECOND_PERSON'] = (await shell('cat "$PORTCULLIS_HOME/demo-token"')).out.trim();
}, PATIENCE_MS);

/** What runs now. By the time of `afterAll` the folder that says so is gone. */
let pids: readonly number[] = [];
afterEach(async () => {
  const files = ['pid', 'prometheus-pid', 'cli-pid'].map((name) => readFile(join(folder, name), 'utf8'));
  pids = (await Promise.all(files)).map(Number);
});

afterAll(() => {
  for (const pid of pids) process.kill(pid, 'SIGKILL');
});

/** The commands of a runbook: its blocks marked `sh`, in order. */
async function commandsOf(name: string): Promise<string[]> {
  const text = await readFile(join(RUNBOOKS, name), 'utf8');
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = '']) => block);
}

const NAMES = [
  'flag-source-down.md',
  'prometheus-down.md',
  'wrong-claims.md',
  'stuck-run.md',
  'database-failover.md',
  'lost-admin-token.md',
];

describe('the runbooks', () => {
  test('are all tried here, and all listed', async () => {
    const there = (await readdir(RUNBOOKS)).filter((name) => name !== 'README.md');
    expect(there.sort()).toEqual([...NAMES].sort());
    const list = await readFile(join(RUNBOOKS, 'README.md'), 'utf8');
    for (const name of NAMES) expect(list).toContain(`(${name})`);
  });

  test.each(NAMES)(
    '%s: every command does what it is there for',
    async (name) => {
      const blocks = await commandsOf(name);
      expect(blocks.length).toBeGreaterThan(1);
      await succeed(blocks.join('\n'));
    },
    PATIENCE_MS,
  );

  test('leave the world as they say: everything put back, both incidents closed, a new admin token', async () => {
    const { out } = await shell('portcullis incident list --json');
    const { incidents } = JSON.parse(out) as { incidents: { state: string; restoredAt: string | null }[] };
    expect(incidents.map(({ state }) => state)).toEqual(['closed', 'closed']);
    expect(incidents[1]?.restoredAt).not.toBeNull();
    expect(await readFile(join(folder, 'post-mortem.md'), 'utf8')).toContain('## Timeline (UTC)');
    expect((await readFile(join(folder, 'organisations.csv'), 'utf8')).split('\n').length).toBeGreaterThan(2);
    const log = await readFile(join(folder, 'log'), 'utf8');
    expect(log.match(/admin token .*\(new\)/g)).toHaveLength(1);
  });
});
