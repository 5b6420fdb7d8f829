import pg from 'pg';
import { oneDatabase } from '../../support/one-database.js';
import type { App, Installation, Purpose, ServeOptions, Service } from '../../../src/cli/app-port.js';
import type { AddCommand } from '../../../src/cli/context.js';
import { addTour } from '../../../src/demo/tour/command.js';
import { replayCommand, type Replay } from '../../../src/demo/command.js';
import { addDirectory } from '../../../src/jobs/directory/command.js';
import type { Policy } from '../../../src/flags/policy.js';
import { openPlannerDatabase } from '../../../src/worker/planner-database.js';
import type { LoadedJob } from '../../../src/worker/registry.js';
import type { RunReport } from '../../../src/worker/run-loop.js';

const REGIONS = ['eu-west-1', 'us-east-1'] as const;

const JOB: LoadedJob = {
  definition: {
    name: 'sweep',
    version: '1.0.0',
    unit: { table: 'sweep.owner', key: 'id', region: 'region' },
    resources: {},
    kinds: {},
    plan: () => ({
      [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }),
    }),
  },
  version: '1.0.0_0000abcd',
  shapes: new Map(),
  kinds: new Map(),
};

const POLICY: Policy = {
  job: 'sweep',
  unit: { one: 'unit', many: 'units' },
  schedule: '0 0 1 1 *',
  missedSlots: 'skip',
  onRearm: 'skip',
  regions: REGIONS,
  flag: { maxAgeMs: 60_000 },
  permitMs: 30_000,
  planMaxAgeMs: 3_600_000,
  leaseMs: 20_000,
  apply: { lanes: 1, batch: 50, firstBatches: [5] },
  guard: { onTrip: { restore: 'propose' }, prometheus: [], caps: [], rules: [] },
};

/** A run's report, as a worker would make it. */
export function report(region: string, changes: Partial<RunReport> = {}): RunReport {
  return {
    run: {
      id: `3f2a9c1e-0000-4000-8000-00000000000${region.length}`,
      job: 'sweep',
      version: JOB.version,
      region,
      slot: new Date('2026-03-01T09:30:00Z'),
      trigger: 'manual',
      dryRun: false,
      restores: null,
      attempt: 1,
      createdAt: new Date('2026-03-01T09:30:00Z'),
    },
    status: 'succeeded',
    code: 'applied',
    reason: 'done',
    planned: { claim: 1_200, verify: 34 },
    applied: { claim: 1_200, verify: 34 },
    conflicts: 0,
    conflictsByKind: {},
    durationMs: 1_234.5,
    ...changes,
  };
}

/** An app that opens and serves nothing, and keeps account of what it is asked. */
export class FakeApp implements App {
  readonly settings: App['settings'] = {
    token: undefined,
    serverUrl: undefined,
    credentialsFile: '/srv/portcullis/no-credentials.json',
    hasDatabase: true,
    home: '/srv/portcullis',
    flagsFolder: '/srv/flags',
    flagsShipped: false,
    warnings: [],
    http: { host: '127.0.0.1', port: 0 },
    publicUrl: undefined,
    grafanaUrl: undefined,
    logLevel: 'info',
    flagSource: { kind: 'embedded' },
    directDatabaseUrl: undefined,
  };
  /** In the order in which it happened. */
  readonly happened: string[] = [];
  served: ServeOptions | undefined;
  policiesAtStart: Service['policies'];
  /** Thrown instead of opening or serving. */
  failure: { at: 'open' | 'serve'; error: Error } | undefined;
  readonly authoring: App['authoring'] = {
    init: () => Promise.reject(new Error('not here')),
    tryJobs: () => Promise.reject(new Error('not here')),
    tryJobsApart: () => Promise.reject(new Error('not here')),
    build: () => Promise.reject(new Error('not here')),
  };
  /** What the first runs do: reports are handed in through `served`. */
  runAllNow: (options: ServeOptions) => Promise<void> = (options) => {
    for (const region of REGIONS) options.onRun(report(region));
    return Promise.resolve();
  };

  open(purpose: Purpose = 'change'): Promise<Installation> {
    this.happened.push('open');
    if (this.failure?.at === 'open') return Promise.reject(this.failure.error);
    const { home, flagsFolder } = this.settings;
    const nowhere = 'postgresql://nobody@127.0.0.1:1/nothing';
    return Promise.resolve({
      purpose,
      concurrentRuns: 4,
      databases: [],
      home,
      flagsFolder,
      database: 'postgresql://owner:***@db:5432/portcullis',
      embedded: false,
      control: new pg.Pool({ connectionString: nowhere }),
      regionDatabases: oneDatabase({
        name: 'control',
        owner: new pg.Pool({ connectionString: nowhere }),
        kills: new pg.Pool({ connectionString: nowhere }),
        worker: new pg.Pool({ connectionString: nowhere }),
        planner: openPlannerDatabase(nowhere, 1),
        open: true,
        job: () => Promise.resolve(JOB),
        prepare: () => Promise.resolve(),
      }),
      place: () => undefined,
      jobs: [JOB],
      installed: () =>
        Promise.resolve([
          { definition: JOB.definition, folder: new URL(import.meta.url), build: '0000abcd' },
        ]),
      urls: { owner: nowhere, worker: nowhere },
      close: () => {
        this.happened.push('close');
        return Promise.resolve();
      },
    });
  }

  flags(): ReturnType<App['flags']> {
    return Promise.reject(new Error('this test has no flags'));
  }

  platform(): ReturnType<App['platform']> {
    return Promise.reject(new Error('this test runs nothing'));
  }

  /** What a replay comes to. */
  replay: Replay = () => Promise.reject(new Error('this test replays nothing'));

  /** The commands that the job and the demo bring. */
  readonly commands: readonly AddCommand[] = [
    addDirectory,
    replayCommand((size, options) => this.replay(size, options)),
    addTour,
  ];

  names(): ReturnType<App['names']> {
    this.happened.push('names');
    return Promise.resolve({
      jobs: ['sweep', 'sweep-logs'],
      regions: REGIONS,
      versions: [
        { job: 'sweep', version: '1.10.0_9f3c2a1b' },
        { job: 'sweep-logs', version: '2.0.0_00c0ffee' },
      ],
    });
  }

  examine(): ReturnType<App['examine']> {
    return Promise.resolve([]);
  }

  policies(): Promise<readonly Policy[]> {
    return Promise.resolve([POLICY]);
  }

  serve(_installation: Installation, options: ServeOptions): Promise<Service> {
    this.happened.push('serve');
    if (this.failure?.at === 'serve') return Promise.reject(this.failure.error);
    this.served = options;
    return Promise.resolve({
      ...(options.http && { httpUrl: 'http://127.0.0.1:7020' }),
      ...(options.http && { adminToken: { file: '/srv/portcullis/admin-token', standing: 'new' } }),
      seeded: options.sample,
      sampleAway: [],
      ...(this.policiesAtStart && { policies: this.policiesAtStart }),
      served: [{ job: JOB, policy: POLICY, regions: options.regions ?? REGIONS }],
      signInCode: () => Promise.resolve('a-code'),
      now: () => Promise.resolve(new Date()),
      runAllNow: () => this.runAllNow(options),
      stop: () => {
        this.happened.push('stop');
        return Promise.resolve();
      },
    });
  }
}
