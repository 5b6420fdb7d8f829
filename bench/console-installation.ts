import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { readPolicies } from '#dist/flags/policy.js';
import { applyPolicies } from '#dist/flags/policy-store.js';
import { writeVerdicts } from '#dist/guard/verdict-rows.js';
import { atEnd } from './endings.js';
import { temporaryFolder, type BenchServer } from './server.js';
import { freePort, healthy } from './start.js';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
const FLAGS = fileURLToPath(new URL('../../flags/', import.meta.url));

export const GATES = 10_000;
/** A job of the wall's. */
export const JOB = 'wall-0000';
const CHANGES = 1_000_000;
const LANES = 4;
const RUN = '5eed0000-0000-4000-8000-00000000be0c';

export interface Installation {
  readonly url: string;
  readonly token: string;
  readonly owner: pg.Pool;
  /** A run of so many changes. */
  readonly run: string;
  readonly changes: number;
  close(): Promise<void>;
}

/** The program as it is installed, on a database with a wall of gates, a year of runs and a run of a million changes. */
export async function openInstallation(
  server: BenchServer,
  given: number | undefined,
  progress: (text: string) => void,
): Promise<Installation> {
  const changes = Math.ceil((given ?? CHANGES) / LANES) * LANES;
  progress(`seeding ${GATES} gates and ${changes} changes`);
  const template = await server.template('console', async (owner) => {
    await applyPolicies(owner, await readPolicies(FLAGS), 'bench');
    await seedGates(owner);
    await seedYear(owner);
    await seedLargeRun(owner, changes);
  });
  const database = await server.copyOf(template);
  const home = temporaryFolder();
  const url = `http://127.0.0.1:${await freePort()}`;
  const child = spawn(process.execPath, [MAIN, 'start'], {
    cwd: home,
    env: {
      PATH: process.env['PATH'],
      PORTCULLIS_DATABASE_URL: database.ownerUrl,
      PORTCULLIS_HOME: home,
      PORTCULLIS_FLAGS: FLAGS,
      PORTCULLIS_HTTP: new URL(url).host,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const stop = atEnd(() => stopped(child));
  await healthy(child, `${url}/readyz`);
  const token = (await readFile(join(home, 'admin-token'), 'utf8')).trim();
  const { owner } = database;
  const close = async (): Promise<void> => {
    await stop();
    await database.drop();
  };
  return { url, token, owner, run: RUN, changes, close };
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await exited;
  clearTimeout(late);
}

/** A hundred jobs in a hundred regions, with twelve runs each; a fifth of the gates is held, and as many killed. */
async function seedGates(owner: pg.Pool): Promise<void> {
  await owner.query(
    `insert into portcullis_region.gate
       (job, region, state, permit_until, variants, reason_code, reason, killed_by, killed_at, changed_at)
     select 'wall-' || lpad((n % 100)::text, 4, '0'), 'region-' || lpad((n / 100)::text, 3, '0'), state,
            clock_timestamp() + interval '1 day',
            '[{"version": "1.5.0_0c0ffee1", "permille": 100}, {"version": "1.4.0_9f3c2a1b", "permille": 900}]',
            'test', 'the flag says so', case when state = 'killed' then 'bench' end,
            case when state = 'killed' then clock_timestamp() end, clock_timestamp() - interval '3 hours'
     from generate_series(0, ${GATES - 1}) n,
          lateral (select case n / 100 % 5 when 1 then 'held' when 2 then 'killed' else 'open' end as state) s`,
  );
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, lanes, planned, applied,
        created_at, planned_at, finished_at)
     select gen_random_uuid(), job, '1.4.0_9f3c2a1b', region, at, 'schedule', 'succeeded', 'done', 'all applied', 'w', at, 1,
            jsonb_build_object('claim', k * 7 % 11), jsonb_build_object('claim', k * 7 % 11), at, at, at
     from portcullis_region.gate, generate_series(1, 12) k,
          lateral (select date_trunc('hour', clock_timestamp()) - k * interval '15 minutes' as at) t`,
  );
  // In one piece, as the plan's transaction writes them.
  await owner.query(
    `insert into portcullis_region.verdict (run, stage, rule, verdict, reason, figures)
     select id, 'plan', rule, 'pass', rule || ': ' || n || ' planned; runs at 14:00 plan 4.8 (1–9), 96 runs', figures
     from (select id, (planned ->> 'claim')::int as n from portcullis_region.run where job like 'wall-%' offset 0) run,
          lateral (values
            ('cap:claim', jsonb_build_object('observed', n, 'limit', 1000, 'cap', 'perRun')),
            ('claims-are-asked-for', '{"observed": 0}'),
            ('evidence-is-fresh', '{"observed": 0}'),
            ('claims-per-run', jsonb_build_object('observed', n, 'expected', 4.8, 'low', 1, 'high', 9, 'p', 0.31, 'limit', 0.00025,
              'comparable', 'runs at 14:00', 'samples', 96)),
            ('organisations-claimed', jsonb_build_object('observed', n, 'expected', 2.4, 'low', 0, 'high', 7, 'p', 0.44,
              'limit', 0.000001, 'comparable', 'runs at 14:00', 'samples', 96))) as said (rule, figures)`,
  );
}

/** A run each quarter of an hour for a year, more by day than by night, and none of them odd. */
async function seedYear(owner: pg.Pool): Promise<void> {
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, lanes, planned, applied,
        admitted_units, created_at, planned_at, finished_at)
     select gen_random_uuid(), 'domain-claim', '1.4.0_9f3c2a1b', 'eu-west-1', at, 'schedule', 'succeeded', 'done', 'all applied',
            'w', at, 1, jsonb_build_object('claim', n), jsonb_build_object('claim', n), 50, at, at, at
     from generate_series(1, 35000) k,
          lateral (select date_trunc('hour', clock_timestamp()) - k * interval '15 minutes' as at) t,
          lateral (select (20 + 15 * sin(extract(hour from at) / 4) + k * 37 % 9)::int as n) s`,
  );
}

async function seedLargeRun(owner: pg.Pool, changes: number): Promise<void> {
  const figures = JSON.stringify({ claim: changes });
  await owner.query(
    `insert into portcullis_region.run
       (id, job, version, region, slot, trigger, status, reason_code, reason, worker, lease_until, lanes, planned, applied,
        admitted_units, created_at, planned_at, finished_at)
     values ($1, 'domain-claim', '1.4.0_9f3c2a1b', 'eu-west-1', clock_timestamp(), 'manual', 'succeeded', 'done',
             'all applied', 'w', clock_timestamp(), $2, $3, $3, 50, clock_timestamp(), clock_timestamp(), clock_timestamp())`,
    [RUN, LANES, figures],
  );
  await owner.query(
    `insert into portcullis_region.change (run, lane, seq, resource, key, kind, unit, before, after, evidence)
     select $1, lane, seq, 'account', lane || '-' || seq, 'claim', 'org-' || seq % 997,
            '{"state": "UNMANAGED", "organisation_id": null, "email": "somebody@example.test"}',
            '{"state": "MANAGED", "organisation_id": "org-1", "email": "somebody@example.test"}', '{"domain": "example.test"}'
     from generate_series(0, $2 - 1) lane, generate_series(1, $3) seq`,
    [RUN, LANES, changes / LANES],
  );
  await owner.query(
    `insert into portcullis_region.lane (run, lane, attempt, last_seq, applied_seq)
     select $1, lane, 1, $3, $3 from generate_series(0, $2 - 1) lane`,
    [RUN, LANES, changes / LANES],
  );
  await writeVerdicts(owner, RUN, 'plan', [
    {
      rule: 'claims-per-run',
      verdict: 'pass',
      reason: 'claims-per-run: 30 planned; runs plan 28 (9–51)',
      figures: { observed: 30, expected: 28, low: 9, high: 51, comparable: 'runs at 14:00', samples: 96 },
    },
  ]);
}
