import { NOOP_PROVIDER, OpenFeature } from '@openfeature/server-sdk';
import type pg from 'pg';
import type { Installation, OpenPlatform } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { EmbeddedSource } from '../flags/embedded-source.js';
import { loadPolicies } from '../flags/policy-store.js';
import { flagsAt, sourceAdvice } from '../flags/flags-elsewhere.js';
import { PortcullisProvider } from '../flags/provider.js';
import { createTripwire } from '../containment/tripwire.js';
import type { FlagSource } from '../flags/source.js';
import { watchSource } from '../flags/watch-source.js';
import { unleashSource } from './flag-desk.js';
import { domainClaim } from '../jobs/domain-claim/job.js';
import type { Lookups } from '../jobs/domain-claim/lookups.js';
import type { Dns } from '../lookup/dns.js';
import { createDns } from '../lookup/dns-client.js';
import { createHttps } from '../lookup/https-client.js';
import { PROGRESS_MS } from '../worker/phase-limits.js';
import { createReservations } from '../worker/reservations.js';
import { RunsUnderWay } from '../worker/runs-under-way.js';
import type { WorkerContext } from '../worker/platform.js';
import { sampleHttps } from '../demo/sample-https.js';
import { isSampleWorld } from '../demo/sample-world.js';
import { sampleZone } from '../demo/sample-zone.js';
import { startZoneResponder } from '../demo/zone-responder.js';
import { versionStanding } from '../rollout/version-standing.js';
import { openPool } from '../postgres/pool.js';
import { createLogger } from '../telemetry/log.js';
import { createMetrics, type Metrics } from '../telemetry/metrics.js';
import type { KnownJob } from '../worker/registry.js';

/** What runs under a platform: flags that are heard, and the clients that jobs bring. */
export interface WiredPlatform extends OpenPlatform {
  readonly source: FlagSource;
  readonly provider: PortcullisProvider;
}

const LOOKUPS_AT_ONCE = 100;
/** A look-up may take several time limits: tries, and the wait for its turn. */
const LONGEST_LOOKUPS = 5;
const HTTPS_BODY_BYTES = 64 * 1024;

/** Opens what it takes to run jobs. `quiet`: only warnings, and for a person. */
export async function openPlatform(
  config: Config,
  installation: Installation,
  quiet = false,
): Promise<WiredPlatform> {
  const metrics = createMetrics();
  const log = createLogger({
    level: quiet && config.logLevel === 'info' ? 'warn' : config.logLevel,
    pretty: quiet,
  });
  const policies = await loadPolicies(installation.control);
  const maxAges = new Map(
    policies.flatMap((each) => (each.ok ? [[each.job, each.policy.flag.maxAgeMs] as const] : [])),
  );
  const flagPool = openPool(flagsUrl(config, installation), { name: 'flags', max: 2 });
  const source = createSource(config, flagPool);
  const provider = new PortcullisProvider(source, {
    maxAgeMs: (job) => Math.min(maxAges.get(job) ?? config.flagMaxAgeMs, config.flagMaxAgeMs),
  });
  await OpenFeature.setProviderAndWait(provider);
  const clients = new JobClients({ [domainClaim.name]: () => openLookups(config, installation, metrics) });
  metrics.onScrape(() => metrics.flagAge(source.state().heardAgeMs / 1000, source.name));
  const at = flagsAt(config.flagSource);
  const unwatch = watchSource(source, {
    log,
    metrics,
    maxAgeMs: config.flagMaxAgeMs,
    advice: (code) => sourceAdvice(code, at),
  });
  const workerContext: WorkerContext = {
    worker: config.worker,
    flags: provider,
    clients: clients.of,
    log,
    metrics,
    trips: createTripwire(
      {
        control: installation.control,
        ownerOf: (region) => installation.regionDatabases.of(region).kills,
        flagsAt: at,
      },
      metrics,
      log,
    ),
    progressMs: Math.max(PROGRESS_MS, LONGEST_LOOKUPS * Math.max(config.dnsTimeoutMs, config.httpsTimeoutMs)),
    underWay: new RunsUnderWay(),
    standingOf: (job, version, region) => versionStanding(installation.control, job, version, region),
  };
  return {
    workerContext,
    platformOf: (region) => {
      const { name, worker, planner } = installation.regionDatabases.of(region);
      return {
        ...workerContext,
        region: worker,
        planner,
        reservations: createReservations(installation.control, name),
      };
    },
    source,
    provider,
    evaluate: (flag, unit) => provider.evaluateUnit(flag, unit),
    close: async () => {
      unwatch();
      // Setting another provider closes this one.
      await OpenFeature.setProviderAndWait(NOOP_PROVIDER);
      await Promise.all([flagPool.end(), clients.close()]);
    },
  };
}

/** The worker's login; past a connection pooler where the configuration says how, so that changes are heard at once. */
function flagsUrl({ directDatabaseUrl }: Config, { urls }: Installation): string {
  if (directDatabaseUrl === undefined) return urls.worker;
  const [direct, { username, password }] = [new URL(directDatabaseUrl), new URL(urls.worker)];
  return Object.assign(direct, { username, password }).toString();
}

function createSource(config: Config, flagPool: pg.Pool): FlagSource {
  if (config.flagSource.kind === 'embedded') return new EmbeddedSource(flagPool);
  return unleashSource(config.flagSource, flagPool);
}

/** Whether every region database is known to hold the sample world and nothing else. */
async function isSampleOnly({ control, regionDatabases }: Installation): Promise<boolean> {
  if (!(await isSampleWorld(control))) return false;
  const samples = regionDatabases
    .all()
    .map(async (regionDatabase) => regionDatabase.open && (await isSampleWorld(regionDatabase.owner)));
  return (await Promise.all(samples)).every(Boolean);
}

/**
 * DNS and HTTPS for domain-claim. In the sample world every process answers its made-up names itself, on loopback,
 * and nothing is ever asked of anybody else; unless resolvers are configured.
 */
async function openLookups(
  config: Config,
  installation: Installation,
  metrics: Metrics,
): Promise<Lookups & { close(): Promise<void> }> {
  const dnsOver = (resolvers: 'system' | readonly string[]): Dns =>
    createDns({
      resolvers,
      timeoutMs: config.dnsTimeoutMs,
      tries: 2,
      maxConcurrent: LOOKUPS_AT_ONCE,
      onAnswer: (answerClass) => metrics.dnsAnswer(answerClass),
    });
  if (config.resolvers === undefined && (await isSampleOnly(installation))) {
    const responder = await startZoneResponder({
      host: '127.0.0.1',
      port: 0,
      zone: await sampleZone(installation.control),
    });
    return {
      dns: dnsOver([`127.0.0.1:${responder.port}`]),
      https: sampleHttps,
      close: () => responder.close(),
    };
  }
  return {
    dns: dnsOver(config.resolvers ?? 'system'),
    https: createHttps({
      timeoutMs: config.httpsTimeoutMs,
      maxBodyBytes: HTTPS_BODY_BYTES,
      maxConcurrent: LOOKUPS_AT_ONCE,
    }),
    close: () => Promise.resolve(),
  };
}

/** A way to make a job's clients other than the one that it declares: as the installation is configured. */
type ClientsByJob = Readonly<Record<string, () => Promise<object>>>;

/** The clients of this process's jobs: each job's are made when it first plans, and closed with the process. */
class JobClients {
  readonly #made = new Map<string, Promise<object>>();

  constructor(private readonly configured: ClientsByJob) {}

  readonly of = ({ definition }: KnownJob): Promise<object> => {
    const { name } = definition;
    const known = this.#made.get(name);
    if (known) return known;
    const made = Promise.resolve().then(
      () => this.configured[name]?.() ?? definition.clients?.() ?? Object.freeze({}),
    );
    this.#made.set(name, made);
    // The next plan tries again.
    made.catch(() => this.#made.delete(name));
    return made;
  };

  async close(): Promise<void> {
    for (const made of await Promise.allSettled([...this.#made.values()])) {
      if (made.status === 'fulfilled') await closeOf(made.value);
    }
  }
}

async function closeOf(clients: { readonly close?: unknown }): Promise<void> {
  if (typeof clients.close === 'function') await (clients.close as () => unknown)();
}
