import { mkdir } from 'node:fs/promises';
import type { Installation, ServeOptions, Service } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { recordAudit } from '../audit/record.js';
import { startBeat, type Beat } from '../base/beat.js';
import { messageOf } from '../base/errors.js';
import { listFlags, setFlag, type FlagState } from '../flags/flag-store.js';
import { readPolicies, type Policy } from '../flags/policy.js';
import { applyPolicies, loadPolicies } from '../flags/policy-store.js';
import { createHttpApp } from '../http/app.js';
import type { FlagInfo } from '../http/deps.js';
import { listen, type Listening } from '../http/listen.js';
import { startBake } from '../guard/bake/bake.js';
import { dropGateBy, type DropGate } from '../guard/bake/drop-gate.js';
import { startSender } from '../notify/sender.js';
import { createReadiness } from '../http/readiness.js';
import { kindsOfJobs } from '../jobs/registry.js';
import { tendIncidents } from '../incidents/tend-incidents.js';
import type { RunReport } from '../jobs/run-loop.js';
import { startWorker, type ServedJob, type Worker } from '../jobs/worker.js';
import { setSampleFlags } from '../replay/sample-flags.js';
import type { RegionPlane } from '../planes/region-plane.js';
import { seedSampleWorld } from '../replay/sample-world.js';
import { lockFolder } from '../store/folder-lock.js';
import { ensureAdminToken } from '../access/admin-token.js';
import { openPlatform, type WiredPlatform } from './platform.js';

const SAMPLE_SEED = 'portcullis';
const POLICY_POLL_MS = 2_000;
const INCIDENT_BEAT_MS = 5_000;

/**
 * Runs a worker, and a control plane if asked to, until `stop`. One control plane at a time holds the folder of an
 * embedded database; on a server of the company's own there may be any number.
 */
export async function serve(
  config: Config,
  installation: Installation,
  options: ServeOptions,
): Promise<Service> {
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const { control } = installation;
    if (options.control && installation.embedded !== false) {
      const lock = await lockFolder(installation.urls.owner, installation.home);
      undo.push(() => lock.release());
    }
    if (options.control)
      await applyPolicies(
        control,
        await readPolicies(installation.flagsFolder, kindsOfJobs(installation.jobs)),
        'system:start',
      );
    const seeded = options.sample && (await seedSample(installation));
    const wired = await openPlatform(config, installation, options.quiet);
    undo.push(() => wired.close());
    const crew = new Crew(config, installation, wired, options);
    await crew.start();
    undo.push(() => crew.stop());
    if (options.control) {
      const { log, metrics } = wired.surroundings;
      const sender = startSender(control, log.child({ room: 'notify' }), metrics, config.notify);
      undo.push(() => sender.stop());
      const bake = startBake({
        control,
        ownerOf: (region) => installation.planes.of(region).owner,
        policies: async () => (await loadPolicies(control)).flatMap((each) => (each.ok ? [each.policy] : [])),
        look: (flag) => wired.provider.look(flag),
        dropGate: dropGateOf(installation, wired),
        log: log.child({ room: 'bake' }),
        metrics,
      });
      undo.push(() => bake.stop());
      const tending = tendAll(installation, wired);
      undo.push(() => tending.stop());
    }
    await mkdir(config.home, { recursive: true });
    const adminToken = options.http ? await ensureAdminToken(control, config.home) : undefined;
    const http = options.http ? await serveHttp(config, installation, wired, crew) : undefined;
    if (http) undo.push(() => http.close());
    return {
      ...(http && { httpUrl: http.url }),
      ...(adminToken && { adminToken }),
      seeded,
      served: crew.served,
      runAllNow: () => crew.runAllNow(),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Has incidents follow their runs and restores. */
function tendAll({ control, planes, jobs }: Installation, { surroundings }: WiredPlatform): Beat {
  const { log, metrics } = surroundings;
  const names = jobs.map(({ definition }) => definition.name);
  return startBeat(
    INCIDENT_BEAT_MS,
    () => tendIncidents(control, (region) => planes.of(region).worker, names, metrics),
    (error) => log.error({ code: 'incidents-untended', err: error }, `incidents: ${messageOf(error)}`),
  );
}

async function seedSample({ control, jobs }: Installation): Promise<boolean> {
  const counts = await seedSampleWorld(control, { seed: SAMPLE_SEED, now: new Date() });
  if (!counts) return false;
  for (const loaded of await loadPolicies(control)) {
    const job = jobs.find(({ definition }) => definition.name === loaded.job);
    if (loaded.ok && job) await setSampleFlags(control, loaded.job, loaded.policy.regions, job.version);
  }
  return true;
}

/**
 * The worker, and its replacement when a policy changes: the new one takes the old one's runs over. A policy
 * that is malformed is not served, so its permits lapse and its gates close.
 */
class Crew {
  served: readonly ServedJob[] = [];
  /** One for each region database: what befalls one database keeps no other's jobs from running. */
  private workers: readonly Worker[] = [];
  private inForce = '';
  private timer: NodeJS.Timeout | undefined;
  private changing: Promise<void> = Promise.resolve();
  private unsubscribe: () => void = () => undefined;

  constructor(
    private readonly config: Config,
    private readonly installation: Installation,
    private readonly wired: WiredPlatform,
    private readonly options: ServeOptions,
  ) {}

  async start(): Promise<void> {
    await this.refresh();
    this.unsubscribe = this.wired.source.onChange(() => {
      for (const worker of this.workers) worker.flagsChanged();
    });
    this.timer = setInterval(() => {
      this.changing = this.changing
        .then(() => this.refresh())
        .catch((error: unknown) => {
          this.wired.surroundings.log.error(
            { code: 'policy-unread', err: error },
            `policies: ${messageOf(error)}`,
          );
        });
    }, POLICY_POLL_MS);
  }

  async runAllNow(): Promise<void> {
    const jobs = new Set(this.served.map(({ policy }) => policy.job));
    await Promise.all(this.workers.flatMap((worker) => [...jobs].map((job) => worker.runNow(job))));
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.unsubscribe();
    await this.changing;
    await Promise.all(this.workers.map((worker) => worker.stop()));
  }

  private async refresh(): Promise<void> {
    const loaded = await loadPolicies(this.installation.control);
    const now = JSON.stringify(loaded.map((each) => (each.ok ? each.policy : each.reason)));
    if (now === this.inForce) return;
    for (const each of loaded) {
      if (!each.ok) this.wired.surroundings.log.error({ code: each.code, job: each.job }, each.reason);
    }
    const served = this.jobsOf(loaded.flatMap((each) => (each.ok ? [each.policy] : [])));
    await Promise.all(this.workers.map((worker) => worker.stop()));
    this.workers = await Promise.all(
      this.installation.planes.all().map((plane) => this.startOn(plane, served)),
    );
    this.served = served;
    this.inForce = now;
  }

  private async startOn(plane: RegionPlane, served: readonly ServedJob[]): Promise<Worker> {
    const { planes } = this.installation;
    const platform = { ...this.wired.surroundings, region: plane.worker, planner: plane.planner };
    const here = served.map((one) => ({
      ...one,
      regions: one.regions.filter((region) => planes.of(region) === plane),
    }));
    return startWorker(platform, here, {
      concurrentRuns: this.config.concurrentRuns,
      onRun: (report) => {
        this.options.onRun(report);
        this.recordRestore(report);
      },
      onProgress: this.options.onProgress,
    });
  }

  /** That a restore was asked for stands on the record already; here, what became of it. */
  private recordRestore({ run, status, applied, conflicts }: RunReport): void {
    if (run.restores === null) return;
    recordAudit(this.installation.control, {
      principal: `worker:${this.config.worker}`,
      action: 'restore-ended',
      subject: run.restores,
      evidence: { restore: run.id, status, applied, conflicts },
    }).catch((error: unknown) => {
      this.wired.surroundings.log.error(
        { code: 'audit-unwritten', err: error },
        `audit: ${messageOf(error)}`,
      );
    });
  }

  private jobsOf(policies: readonly Policy[]): ServedJob[] {
    const wanted = this.options.regions ?? this.config.regions;
    return policies.flatMap((policy) => {
      const job = this.installation.jobs.find(({ definition }) => definition.name === policy.job);
      if (!job) {
        this.wired.surroundings.log.warn(
          { code: 'job-missing', job: policy.job },
          'there is a policy for a job that this program does not have',
        );
        return [];
      }
      const regions = policy.regions.filter((region) => wanted?.includes(region) ?? true);
      return [{ job, policy, regions }];
    });
  }
}

function dropGateOf({ planes }: Installation, { surroundings }: WiredPlatform): DropGate {
  return dropGateBy((region) => planes.of(region).owner, surroundings.trips);
}

function serveHttp(
  config: Config,
  installation: Installation,
  wired: WiredPlatform,
  crew: Crew,
): Promise<Listening> {
  const { control, planes } = installation;
  const { metrics, log } = wired.surroundings;
  const app = createHttpApp({
    control,
    planes,
    dropGate: dropGateOf(installation, wired),
    metrics,
    log,
    flags: {
      list: async () => (await listFlags(control)).map(toInfo),
      set: async (setting) => toInfo(await setFlag(control, setting)),
      look: (name) => wired.provider.look(name),
    },
    jobs: () =>
      installation.jobs.map(({ definition, version, kinds }) => {
        const policy = crew.served.find((each) => each.policy.job === definition.name)?.policy;
        return {
          name: definition.name,
          version,
          schedule: policy?.schedule ?? null,
          regions: policy?.regions ?? [],
          kinds: [...kinds.keys()],
        };
      }),
    installed: () => installation.jobs,
    readiness: createReadiness({
      databases: {
        control: () => control.query('select 1'),
        region: () => Promise.any(planes.all().map(({ worker }) => worker.query('select 1'))),
      },
      flagsHeardAgeMs: () => wired.source.state().heardAgeMs,
      flagsMaxAgeMs: config.flagMaxAgeMs,
    }),
  });
  return listen(app, config.http);
}

function toInfo(flag: FlagState): FlagInfo {
  return { ...flag, changedAt: flag.changedAt.toISOString() };
}
