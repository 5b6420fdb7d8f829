import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import type { Installation, ServeOptions, Service, StartPolicies } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { startPoller, type Poller } from '../kernel/poller.js';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { within } from '../kernel/within.js';
import { flagsAt } from '../flags/flags-elsewhere.js';
import { driftTexts } from '../flags/policy-drift.js';
import type { Policy } from '../flags/policy.js';
import { policiesInForce } from '../flags/policy-store.js';
import { createHttpApp } from '../server/app.js';
import { keepRechecking, KnownCallers } from '../server/known-callers.js';
import { listen, type Listening } from '../server/listen.js';
import { Provider } from '../server/oidc.js';
import type { SlackOptions } from '../server/slack.js';
import { jobInfos, type OperationContext } from '../operations/context.js';
import { removeStaleSpools } from '../operations/move-files.js';
import { forgetKeys } from '../operations/idempotency.js';
import { startBake } from '../guard/bake/bake.js';
import { dropGateBy, type DropGate } from '../containment/drop-gate.js';
import { readReceivers, type Receiver } from '../notify/receivers.js';
import { startSender } from '../notify/sender.js';
import { createReadiness } from '../server/readiness.js';
import { askExtent, askReached, rememberExtent } from '../incidents/incident-extent.js';
import { watchDatabase } from '../containment/changed-database.js';
import { carryOutWishes, recordLateKills } from '../containment/kill-incident.js';
import { tendIncidents } from '../incidents/tend-incidents.js';
import { directoryFiles } from '../jobs/directory/files.js';
import { databaseTime } from '../postgres/database-clock.js';
import { EventFeed } from '../events/follow.js';
import { forgetEvents, type Outbox } from '../events/outbox.js';
import { outboxesOf } from '../regions/outboxes.js';
import type { RegionDatabase } from '../regions/region-database.js';
import type { Log } from '../telemetry/log.js';
import { lockFolder } from '../postgres/folder-lock.js';
import { ensureAdminToken, readAdminToken } from '../access/admin-token.js';
import { readIdentityFile, type IdentitySettings } from '../access/identity-file.js';
import { Workflows } from '../access/workflows.js';
import { createSignInCode } from '../access/sessions.js';
import { principalOfToken } from '../access/tokens.js';
import { makeDemoPerson } from '../demo/demo-person.js';
import { startBreakGlass } from './break-glass.js';
import { startAlone } from './alone.js';
import { WorkerSupervisor } from './worker-supervisor.js';
import { examineServing } from './doctor.js';
import { deskOf } from './flag-desk.js';
import { keepEmbedded } from './keep-embedded.js';
import { openPlatform, type WiredPlatform } from './platform.js';
import { startAnnouncing, startRollouts } from './rollouts.js';
import { fillSamples, startSampleLife } from './samples.js';
import { startPolicies } from './start-policies.js';
import { tendReservations } from './tend-reservations.js';

/** Where the build leaves the console's files. */
const CONSOLE = fileURLToPath(new URL('../console', import.meta.url));
/** How long each part of a service may take to stop. Runs are given up in a third of it (src/worker/lease-keeper.ts). */
const STOP_STEP_MS = 15_000;
const INCIDENT_BEAT_MS = 5_000;
const KILL_BEAT_MS = 2_000;
const REGION_BEAT_MS = 2_000;
const REGION_ANSWER_MS = 10_000;
const FORGET_BEAT_MS = 600_000;

/**
 * Runs a worker, and a control plane if asked to, until `stop`. One control plane at a time holds the folder of an
 * embedded database; on a server of the company's own there may be any number.
 */
export async function serve(
  config: Config,
  installation: Installation,
  options: ServeOptions,
): Promise<Service> {
  const identity = options.http
    ? readIdentityFile(config.identityFile, {
        clientSecret: config.oidcClientSecret,
        publicUrl: config.publicUrl,
      })
    : undefined;
  const receivers = options.control || options.http ? readReceivers(config.notify) : [];
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) {
      // One that hangs, as on a database that does not answer, keeps none of the others from being taken.
      await within(STOP_STEP_MS, step, () => new Error('still busy')).catch(() => undefined);
    }
  };
  try {
    const { control } = installation;
    const lock =
      options.control && installation.embedded !== false
        ? await lockFolder(installation.urls.owner, installation.home)
        : undefined;
    if (lock) undo.push(() => lock.release());
    const placed = options.control ? await startPolicies(config, installation) : undefined;
    const policies = await policiesInForce(control);
    requireVariables(config, policies, options.regions ?? config.regions);
    installation.place(policies);
    const samples = options.sample ? await fillSamples(installation) : undefined;
    const seeded = samples?.any === true;
    const wired = await openPlatform(config, installation, options.quiet);
    undo.push(() => wired.close());
    tellAtStart(config, wired, placed);
    if (lock) {
      const keeping = keepEmbedded(installation, lock, wired.workerContext.log);
      undo.push(() => keeping.stop());
    }
    const supervisor = new WorkerSupervisor(config, installation, wired, options);
    await supervisor.start();
    undo.push(() => supervisor.stop());
    const announcing = await startAnnouncing(installation, wired.workerContext, () => supervisor.served);
    undo.push(() => announcing.stop());
    // A rollout sets the embedded flags: where others are in force it is held.
    if (options.control && config.flagSource.kind === 'embedded') {
      const rollouts = startRollouts(installation, wired.workerContext);
      undo.push(() => rollouts.stop());
    }
    const killing = carryOutKills(config, installation, wired);
    undo.push(() => killing.stop());
    const watching = watchRegions(installation, wired);
    undo.push(() => watching.stop());
    const reserving = tendReservations(installation, wired, () => supervisor.served);
    undo.push(() => reserving.stop());
    if (options.control) {
      const { log, metrics } = wired.workerContext;
      const sender = startSender(control, log.child({ component: 'notify' }), metrics, {
        ...{ receivers, publicUrl: config.publicUrl, timeoutMs: config.notify.timeoutMs },
      });
      undo.push(() => sender.stop());
      const bake = startBake({
        control,
        ownerOf: (region) => installation.regionDatabases.of(region).owner,
        policies: () => policiesInForce(control),
        look: (flag) => wired.provider.look(flag),
        dropGate: dropGateOf(installation, wired),
        log: log.child({ component: 'bake' }),
        metrics,
      });
      undo.push(() => bake.stop());
      const alone = startAlone(installation, log, flagsAt(config.flagSource));
      undo.push(() => alone.stop());
      const ownFlags = config.flagSource.kind === 'embedded';
      const breakGlass = startBreakGlass(installation, { log, metrics }, ownFlags);
      undo.push(() => breakGlass.stop());
      if (options.sample) {
        const { log } = wired.workerContext;
        const { regionDatabases, jobs } = installation;
        const living = startSampleLife(
          (region) => regionDatabases.of(region),
          jobs,
          () => supervisor.served,
          log,
        );
        undo.push(() => living.stop());
      }
      const tending = tendAll(installation, wired);
      undo.push(() => tending.stop());
    }
    await mkdir(config.home, { recursive: true });
    const adminToken = options.http ? await ensureAdminToken(control, config.home) : undefined;
    const demoToken = seeded && options.http ? await makeDemoPerson(control, config.home) : undefined;
    const outboxes = (): readonly Outbox[] => outboxesOf(control, installation.regionDatabases);
    const feed = new EventFeed(outboxes);
    if (options.control) {
      const forgetting = forgetOld(control, outboxes, wired.workerContext.log);
      undo.push(() => forgetting.stop());
    }
    const http = options.http
      ? await serveHttp(config, installation, wired, supervisor, feed, identity, receivers)
      : undefined;
    if (http) {
      undo.push(() => {
        // What is followed would keep its connections open for ever.
        feed.end();
        return http.close();
      });
    }
    return {
      ...(http && { httpUrl: http.url }),
      ...(adminToken && { adminToken }),
      ...(demoToken !== undefined && { demoToken }),
      seeded,
      sampleAway: samples?.away ?? [],
      ...(placed && { policies: placed }),
      served: supervisor.served,
      signInCode: () => adminSignInCode(control, config.home),
      now: () => databaseTime(control).catch(() => new Date()),
      runAllNow: () => supervisor.runAllNow(),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** For the person whose token the folder has, where this user may read it. */
async function adminSignInCode(control: pg.Pool, home: string): Promise<string | undefined> {
  const token = await readAdminToken(home);
  const admin = token === undefined ? undefined : await principalOfToken(control, token);
  return admin && (await createSignInCode(control, admin)).code;
}

/** Carries out pending kills: every process does, for this one may reach it. */
function carryOutKills(
  { flagSource }: Config,
  { control, regionDatabases }: Installation,
  { workerContext: { log } }: WiredPlatform,
): Poller {
  const reach = { flagsAt: flagsAt(flagSource) };
  return startPoller(
    KILL_BEAT_MS,
    async () => {
      for (const { job, killed } of await carryOutWishes(
        control,
        (at) => regionDatabases.of(at).kills,
        null,
        reach,
      )) {
        for (const { region } of killed)
          log.warn({ code: 'killed', job, region }, 'pending kill carried out');
      }
    },
    (error) => log.error({ code: 'kills-unread', err: error }, `kills: ${messageOf(error)}`),
  );
}

/** Puts into the log what a person who starts a process must know about where it runs. */
function tellAtStart(
  { warnings }: Config,
  { workerContext: { log } }: WiredPlatform,
  placed?: StartPolicies,
): void {
  for (const text of warnings) log.warn({ code: 'config-unknown' }, text);
  if (placed === undefined) return;
  if ('drift' in placed)
    for (const text of driftTexts(placed.drift)) log.warn({ code: 'policy-differs' }, text);
  else
    for (const { job, file } of placed.applied)
      log.info({ code: 'policy-applied', job }, `${file} is in force now`);
}

/**
 * Puts on record the kills that their own processes could not, and looks whether a region's database is still the one
 * that it was: every process does, for this one may reach it.
 */
function watchRegions(
  { control, regionDatabases }: Installation,
  { workerContext: { log } }: WiredPlatform,
): Poller {
  const watch = async ({ name, open, owner }: RegionDatabase): Promise<void> => {
    if (!open) return;
    for (const { job, region } of await recordLateKills(control, owner)) {
      log.warn(
        { code: 'kill-recorded', job, region },
        'a kill is on record now, which its own process did not record',
      );
    }
    const { confirmed, identity, last } = await watchDatabase(control, owner);
    if (confirmed) return;
    log.error(
      { code: 'database-unconfirmed', database: name, identity, last },
      'this is another database than before: nothing is written to it until a person confirms it with portcullis database confirm',
    );
  };
  return startPoller(
    REGION_BEAT_MS,
    async () => {
      const late = (): Error => new Error(`it did not answer within ${REGION_ANSWER_MS / 1_000} s`);
      await Promise.all(
        regionDatabases.all().map((regionDatabase) =>
          within(REGION_ANSWER_MS, () => watch(regionDatabase), late).catch((error: unknown) => {
            log.error(
              { code: 'region-unwatched', database: regionDatabase.name, err: error },
              messageOf(error),
            );
          }),
        ),
      );
    },
    (error) => log.error({ code: 'regions-unwatched', err: error }, `regions: ${messageOf(error)}`),
  );
}

/** Removes events and idempotency keys that are older than they are kept. */
function forgetOld(control: pg.Pool, outboxes: () => readonly Outbox[], log: Log): Poller {
  return startPoller(
    FORGET_BEAT_MS,
    async () => {
      const removed = await Promise.allSettled([...outboxes().map(forgetEvents), forgetKeys(control)]);
      for (const each of removed)
        if (each.status === 'rejected') log.debug({ err: each.reason as unknown }, 'events or keys kept');
    },
    () => undefined,
  );
}

/** Has incidents follow their runs and restores. */
function tendAll({ control, regionDatabases, jobs }: Installation, { workerContext }: WiredPlatform): Poller {
  const { log, metrics } = workerContext;
  const names = jobs.map(({ definition }) => definition.name);
  const poolOf = (region: string): pg.Pool => regionDatabases.of(region).worker;
  const extentIn = rememberExtent(askExtent(poolOf), askReached(poolOf));
  return startPoller(
    INCIDENT_BEAT_MS,
    () => tendIncidents(control, poolOf, names, metrics, extentIn),
    (error) => log.error({ code: 'incidents-untended', err: error }, `incidents: ${messageOf(error)}`),
  );
}

/** Throws CONFIG_INVALID with every variable that the policies name for a region served here and that is not set. */
function requireVariables(
  { regionDatabaseUrls }: Config,
  policies: readonly Policy[],
  served: readonly string[] | undefined,
): void {
  const faults = new Set<string>();
  for (const { databases = {} } of policies) {
    for (const [region, variable] of Object.entries(databases)) {
      if (!(served?.includes(region) ?? true) || variable in regionDatabaseUrls) continue;
      faults.add(`${variable} is not set: it must hold the address of the database of ${region}`);
    }
  }
  if (faults.size === 0) return;
  throw new PortcullisError('CONFIG_INVALID', [...faults].join('\n'), {
    hint: 'set it as PORTCULLIS_DATABASE_URL is set; or serve other regions, with PORTCULLIS_REGIONS or --regions',
    details: { faults: [...faults] },
  });
}

function dropGateOf({ regionDatabases }: Installation, { workerContext }: WiredPlatform): DropGate {
  return dropGateBy((region) => regionDatabases.of(region).kills, workerContext.trips);
}

/** The Slack apps whose buttons act here; undefined where no receiver is one. */
function slackOf({ publicUrl, notify }: Config, receivers: readonly Receiver[]): SlackOptions | undefined {
  const apps = receivers.filter((each) => each.kind === 'slack');
  return apps.length === 0 ? undefined : { apps, publicUrl, timeoutMs: notify.timeoutMs };
}

async function serveHttp(
  config: Config,
  installation: Installation,
  wired: WiredPlatform,
  supervisor: WorkerSupervisor,
  feed: EventFeed,
  identity: IdentitySettings | undefined,
  receivers: readonly Receiver[],
): Promise<Listening> {
  const { control, regionDatabases } = installation;
  const { metrics, log } = wired.workerContext;
  void removeStaleSpools();
  const known = new KnownCallers();
  const context: OperationContext = {
    control,
    regionDatabases,
    feed,
    workflows: identity && identity.workflows.length > 0 ? new Workflows(identity.workflows) : undefined,
    receivers: receivers.length,
    dropGate: dropGateOf(installation, wired),
    metrics,
    log,
    flagsAt: flagsAt(config.flagSource),
    flags: {
      ...deskOf(config, installation, wired.source),
      look: (name) => wired.provider.look(name),
      evaluate: (name, unit) => wired.provider.evaluateUnit(name, unit),
    },
    jobs: () =>
      jobInfos(
        installation.jobs,
        supervisor.served.map(({ policy }) => policy),
      ),
    installed: () => installation.jobs,
    files: [directoryFiles],
    grafanaUrl: config.grafanaUrl,
    uploadBytes: config.uploadBytes,
    examine: examineServing(config, installation, wired),
    readiness: createReadiness({
      databases: {
        control: () => control.query('select 1'),
        region: () =>
          Promise.any(
            regionDatabases.all().map(async (regionDatabase) => regionDatabase.worker.query('select 1')),
          ),
      },
      runs: {
        hanging: () => wired.workerContext.underWay?.hanging() ?? [],
        databases: () =>
          wired.workerContext.underWay?.databases().map((pool) => () => pool.query('select 1')) ?? [],
      },
      flags: () => wired.source.state(),
      flagsMaxAgeMs: config.flagMaxAgeMs,
    }),
  };
  const app = createHttpApp(context, {
    publicUrl: config.publicUrl,
    listenHost: config.http.host,
    console: CONSOLE,
    provider: identity?.signIn && new Provider(identity.signIn),
    slack: slackOf(config, receivers),
    known,
  });
  return keepRechecking(known, control, await listen(app, config.http));
}
