import { randomBytes } from 'node:crypto';
import { recordAudit } from '../../audit/record.js';
import { PortcullisError, messageOf } from '../../kernel/errors.js';
import { startPoller } from '../../kernel/poller.js';
import { versionName } from '../../kernel/version-named.js';
import { listFlags, setFlag, type FlagState } from '../../flags/flag-store.js';
import { ANNOUNCE_MS, announcedVersions, announceVersions, withdrawWorker } from '../../rollout/announce.js';
import type { KnownJob } from '../../worker/registry.js';
import { lostCondition } from '../incident/lost-condition/job.js';
import { isSampleWorld } from '../sample-world.js';
import { PLAYED, type Versions } from './acts.js';
import { ACTS, commandsOf, filled, JOB, type Act } from './script.js';
import type { Stage } from './stage.js';

/** What an act is while it is played, and what it came to. */
export interface Playing {
  readonly act: Act;
  /** From 1. */
  readonly number: number;
  readonly commands: readonly string[];
}

export interface Told extends Playing {
  readonly result: readonly string[];
  readonly view: string;
  readonly ms: number;
}

export interface Audience {
  begins(playing: Playing): void;
  /** What comes of the act that is played, line by line. */
  line(text: string): void;
  ends(told: Told): void;
}

const WORKER = 'tour';

/**
 * Plays every act in turn, and puts back what it has changed however it ends: the policy, the flags, and a rollout that is
 * under way. Each act goes on record, for the console's page. Throws USAGE_INVALID anywhere but in the sample world.
 */
export async function playTour(stage: Stage, audience: Audience): Promise<readonly Told[]> {
  const { control } = stage.installation;
  await refuseElsewhere(stage);
  const versions = newVersions(stage);
  const before = { flags: await listFlags(control, JOB), ...(await stage.first('getPolicy', { job: JOB })) };
  const tour = randomBytes(4).toString('hex');
  const names: Record<string, string> = { stable: versions.stable.version, good: versions.good.version };
  Object.assign(names, { faulty: versions.faulty.version, silent: versions.silent.version });
  const record = (subject: string, evidence: Readonly<Record<string, unknown>>): Promise<unknown> =>
    recordAudit(control, { principal: stage.by, action: 'tour', subject, evidence: { tour, ...evidence } });
  const announcing = await announce(stage, versions);
  const all: Told[] = [];
  try {
    await record('begins', { acts: ACTS.map(({ id, title, text, view }) => ({ id, title, text, view })) });
    for (const [at, act] of ACTS.entries()) {
      stage.signal.throwIfAborted();
      const playing = { act, number: at + 1, commands: commandsOf(act, names) };
      audience.begins(playing);
      await record(act.id, { state: 'now', commands: playing.commands });
      const startedAt = performance.now();
      const play = PLAYED[act.id];
      if (play === undefined) throw new Error(`nobody plays ${act.id}`);
      const result: string[] = [];
      const tell = (line: string): void => {
        result.push(line);
        audience.line(line);
      };
      Object.assign(names, await play(stage, tell, { ...versions, names }));
      const told: Told = {
        ...playing,
        ...{ commands: commandsOf(act, names), result, view: filled(act.view, names) },
        ms: Math.round(performance.now() - startedAt),
      };
      all.push(told);
      await record(act.id, { state: 'done', commands: told.commands, result, view: told.view, ms: told.ms });
      audience.ends(told);
    }
    return all;
  } catch (error) {
    await record('ends', { state: 'stopped', why: messageOf(error) }).catch(() => undefined);
    throw error;
  } finally {
    await putBack(stage, before.flags, before.source);
    await announcing.stop();
    await record('ends', { state: 'over' }).catch(() => undefined);
  }
}

/** Throws USAGE_INVALID where it is not the sample world alone, or something is under way that it would disturb. */
async function refuseElsewhere(stage: Stage): Promise<void> {
  const { control, regionDatabases, jobs } = stage.installation;
  const refuse = (why: string, hint: string): never => {
    throw new PortcullisError('USAGE_INVALID', why, { hint });
  };
  const databases = [control, ...regionDatabases.all().map(({ owner }) => owner)];
  const samples = await Promise.all(databases.map((pool) => isSampleWorld(pool).catch(() => false)));
  if (!samples.every(Boolean) || !jobs.some(({ definition }) => definition.name === JOB)) {
    refuse(
      'the tour changes data, and so plays in the sample world alone; this is another',
      'in an empty folder: npx portcullis start --sample --run-now, and the tour in a second terminal',
    );
  }
  const stable = jobs.find(({ definition }) => definition.name === JOB);
  const served = await announcedVersions(control, JOB);
  if (!served.some(({ version, regions }) => version === stable?.version && regions.length > 0)) {
    refuse(
      'no portcullis start is running here, which moves rollouts and judges versions',
      'npx portcullis start --sample, in a second terminal',
    );
  }
  const { items } = await stage.first('listRollouts', {});
  if (items.some(({ job, status }) => job === JOB && (status === 'running' || status === 'paused')))
    refuse(
      `a rollout of ${JOB} is under way`,
      `portcullis rollout abort ${JOB} --reason …; then start the tour again`,
    );
  const { rows } = await control.query<{ region: string }>(
    `select region from portcullis_region.gate where job = $1 and state = 'killed' order by 1`,
    [JOB],
  );
  if (rows[0] !== undefined)
    refuse(
      `the gate of ${rows.map(({ region }) => region).join(', ')} is killed`,
      `portcullis rearm ${JOB} --all --reason …, which demo may approve: PORTCULLIS_TOKEN=$(cat .portcullis/demo-token) portcullis approve ID`,
    );
}

/** Each tour has versions of its own: one that was stopped stays so. The digest of a build stands in for that of the code. */
function newVersions({ installation }: Stage): Versions {
  const stable = installation.jobs.find(({ definition }) => definition.name === JOB);
  if (stable === undefined) throw new Error(`${JOB} is not installed`);
  const build = `tour.${randomBytes(4).toString('hex')}`;
  const version = (definition: KnownJob['definition'], number: string): KnownJob => ({
    definition: { ...definition, version: number },
    version: versionName(JOB, number, build),
  });
  return {
    stable,
    good: version(stable.definition, '1.1.0'),
    faulty: version(lostCondition, '1.2.0'),
    silent: version(lostCondition, '1.3.0'),
  };
}

/** Says that this process can run these versions, for as long as the tour lasts. */
async function announce({ installation, platform }: Stage, { good, faulty, silent }: Versions) {
  const { control } = installation;
  const { log } = platform.workerContext;
  const regions = (await listFlags(control, JOB)).map(({ region }) => region);
  const tell = (): Promise<void> =>
    announceVersions(
      control,
      WORKER,
      [good, faulty, silent].map(({ version }) => ({ job: JOB, version, regions })),
    );
  await tell();
  const telling = startPoller(
    ANNOUNCE_MS,
    tell,
    (error) => log.error({ code: 'version-unannounced', err: error }, messageOf(error)),
    { restFirst: true },
  );
  return {
    stop: async () => {
      await telling.stop();
      await withdrawWorker(control, WORKER).catch(() => undefined);
    },
  };
}

/** The flags and the policy as they were, for whatever the tour came to. */
async function putBack(stage: Stage, flags: readonly FlagState[], source: string): Promise<void> {
  const { control } = stage.installation;
  const rollout = await stage.first('getRollout', { job: JOB }).catch(() => undefined);
  if (rollout?.status === 'running' || rollout?.status === 'paused')
    await stage.first('abortRollout', { job: JOB, reason: 'the tour is over' });
  await stage.first('applyPolicies', { files: [{ file: 'domain-claim.yaml', text: source }] });
  for (const { region, enabled, variants } of flags) {
    await setFlag(control, {
      ...{
        job: JOB,
        region,
        enabled,
        variants,
        reason: 'the tour is over: as it was before',
        changedBy: stage.by,
      },
    });
  }
}
