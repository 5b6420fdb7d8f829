import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { keepOutcomes } from '../../guard/bake/outcome-report.js';
import { listFlags, setFlag } from '../../flags/flag-store.js';
import { PortcullisError } from '../../kernel/errors.js';
import { countOf, listOf, number } from '../../kernel/words.js';
import { parsePolicyFile, type Policy } from '../../flags/policy.js';
import type { KnownJob } from '../../worker/registry.js';
import { tripOfRun, reasonOf } from '../../containment/trip-row.js';
import { liveOn } from '../sample-life.js';
import { COMPRESSED, demoPolicy } from './demo-policy.js';
import { CANARY, JOB, OFF } from './script.js';
import type { OperationName, Operations } from '../../operations/list.js';
import type { OutputOf } from '../../operations/operation.js';
import { applied, heard, ownerOf, runIn, waitFor, type Stage } from './stage.js';

/** The versions that the tour shows: each tour has its own, since a version that was stopped stays stopped. */
export interface Versions {
  readonly stable: KnownJob;
  readonly good: KnownJob;
  readonly faulty: KnownJob;
  readonly silent: KnownJob;
}

type Output<Name extends OperationName> = OutputOf<Operations[Name]>;
type Names = Readonly<Record<string, string>>;

/** Plays an act, tells what comes of it as it comes, and answers the names that later acts and their commands use. */
type PlayAct = (
  stage: Stage,
  tell: (line: string) => void,
  known: Versions & { readonly names: Names },
) => Promise<Names>;

const NONE: Names = {};

/** Each act of the script. */
export const PLAYED: Readonly<Record<string, PlayAct>> = {
  policy: async (stage, tell) => {
    await putInForce(stage, 'guarded');
    tell(`in force: ${COMPRESSED}`);
    tell('the policy of before is put back at the end');
    return NONE;
  },

  region: async (stage, tell, { stable }) => {
    const { control } = stage.installation;
    const policy = await policyNow(stage);
    for (const { region, enabled, variants } of await listFlags(control, JOB)) {
      const isOn = enabled && variants.some(({ version }) => version === stable.version);
      if (!isOn) {
        await setFlag(control, {
          ...{ job: JOB, region, enabled: true, reason: 'the tour', changedBy: stage.by },
          variants: [{ version: stable.version, permille: 1000 }],
        });
      }
      await heard(stage, region, stable.version);
      // Also where it was on: what it does now is what a new version is compared with.
      await liveOn(ownerOf(stage, region), region);
      const report = await runIn(stage, stable, policy, region);
      if (report.status !== 'succeeded') throw unexpected(`${region}: ${report.status}: ${report.reason}`);
      const was = isOn ? 'was on' : `${region === OFF ? 'was off' : 'was held'}, and is open`;
      tell(`${region} ${was}: ${changesText(applied(report))}`);
    }
    return NONE;
  },

  good: async (stage, tell, { good }) => {
    const policy = await policyNow(stage);
    await stage.first('startRollout', { job: JOB, version: good.version, reason: 'the tour' });
    const people = new People(stage);
    const goOn = async (): Promise<true | undefined> => {
      const rollout = await stage.first('getRollout', { job: JOB });
      if (rollout.status === 'completed') return true;
      if (rollout.status !== 'running')
        throw unexpected(`the rollout is ${rollout.status}: ${rollout.reason}`);
      const waiting = rollout.waves.find(({ approval }) => approval?.state === 'pending');
      if (waiting !== undefined) {
        await stage.second('approveWave', { job: JOB });
        tell(`wave ${waiting.name}: demo has looked at the evidence of the canary, and agrees`);
        return undefined;
      }
      const parts = rollout.waves.flatMap(({ regions }) => regions);
      const next = parts.find(lacksEvidence);
      if (next === undefined) {
        await people.logIn(parts.filter(lacksComparison).map(({ region }) => region));
        return undefined;
      }
      const { region, permille } = next;
      await liveOn(ownerOf(stage, region), region);
      await heard(stage, region, good.version);
      const report = await runIn(stage, good, policy, region);
      if (report.status !== 'succeeded') throw unexpected(`${region}: ${report.status}: ${report.reason}`);
      tell(`${region} at ${permille / 10} %: ${changesText(applied(report))}`);
      return undefined;
    };
    await waitFor(stage, 'the rollout goes through its waves', goOn, ROLLOUT_MS);
    tell(`${good.version} is everywhere`);
    return NONE;
  },

  stopped: async (stage, tell, { faulty }) => {
    const policy = await policyNow(stage);
    await stage.first('startRollout', { job: JOB, version: faulty.version, reason: 'the tour' });
    await heard(stage, CANARY, faulty.version);
    await liveOn(ownerOf(stage, CANARY), CANARY);
    const report = await runIn(stage, faulty, policy, CANARY);
    const trip = await tripOfRun(ownerOf(stage, CANARY), report.run.id);
    if (trip === undefined) throw unexpected(`the faulty version ${report.status}: ${report.reason}`);
    await rolledBack(stage);
    const planned = Object.values(report.planned).reduce((sum, count) => sum + count, 0);
    tell(`it planned ${changesText(planned)} and wrote ${number(applied(report))}: ${reasonOf(trip)}`);
    tell(`${faulty.version} may act nowhere any more`);
    return { stoppedRun: shortId(report.run.id) };
  },

  logins: async (stage, tell, { good, silent }) => {
    await putInForce(stage, 'outcomes alone');
    const policy = await policyNow(stage);
    const owner = ownerOf(stage, CANARY);
    // Whom it is compared with: organisations that the version before it has changed within the hour.
    await liveOn(owner, CANARY);
    await runIn(stage, good, policy, CANARY);
    await stage.first('startRollout', { job: JOB, version: silent.version, reason: 'the tour' });
    await heard(stage, CANARY, silent.version);
    // In every organisation somebody joins: the more have its changes, the sooner it shows.
    await liveOn(owner, CANARY, { joining: EVERY });
    const report = await runIn(stage, silent, policy, CANARY);
    const reported = await reportLogins(owner, report.run.id, ['claim', 'verify']);
    const reportedAt = performance.now();
    const incident = await waitFor(stage, 'the logins that fail kill the gate', async () => {
      // With too few of those, users of whatever else it changed cannot log in either.
      if (performance.now() - reportedAt > MORE_AFTER_MS) await reportLogins(owner, report.run.id, null);
      const { items } = await stage.first('listIncidents', { limit: 5 });
      return items.find(({ version, state }) => version === silent.version && state !== 'closed');
    });
    await rolledBack(stage);
    const gate = await waitFor(stage, `the gate of ${CANARY} is killed`, async () => {
      const { rows } = await owner.query<{ reason: string }>(
        `select reason from portcullis_region.gate where job = $1 and region = $2 and state = 'killed'`,
        [JOB, CANARY],
      );
      return rows[0];
    });
    tell(
      `it wrote ${changesText(applied(report))}; ${countOf(reported, 'organisation')} had users who could not log in`,
    );
    tell(`killed: ${gate.reason}`);
    return { incident: incident.id };
  },

  impact: async (stage, tell, { names: { incident = '' } }) => {
    const { impact, severity } = await waitFor(stage, 'the incident counts its impact', async () => {
      const found = await stage.first('getIncident', { id: incident });
      return found.impact.units > 0 && found.severity !== null ? found : undefined;
    });
    const kinds = impact.byKind.map(({ kind, rows }) => `${number(rows)} × ${kind}`);
    tell(
      `severity ${severity ?? 'unknown'}: ${countOf(impact.rows, 'row')} of ${countOf(impact.units, 'organisation')} (${listOf(kinds)})`,
    );
    return NONE;
  },

  restore: async (stage, tell, { names: { incident = '' } }) => {
    await stage.first('restoreIncident', { id: incident, reason: 'the tour' });
    const { impact } = await waitFor(stage, 'a worker restores', async () => {
      const found = await stage.first('getIncident', { id: incident });
      return found.state === 'restored' ? found : undefined;
    });
    const { restored, restoreConflicts } = impact;
    tell(
      `${countOf(restored, 'row')} put back; ${number(restoreConflicts)} had changed since and were skipped`,
    );
    return NONE;
  },

  rearm: async (stage, tell, { names: { incident = '' } }) => {
    const asked = await stage.first('requestRearm', { job: JOB, region: CANARY, reason: 'restored' });
    const refused = await stage
      .first('approve', { id: asked.id, reason: 'restored' })
      .catch((error: unknown) => error);
    if (!(refused instanceof PortcullisError)) throw unexpected('whoever asked could approve it too');
    const approved = await stage.second('approve', { id: asked.id, reason: 'restored' });
    await stage.first('closeIncident', {
      ...{ id: incident, conclusion: 'The tour: restored, and re-armed by demo.', falseAlarm: false },
    });
    tell(`${stage.by} may not approve it: ${refused.message}`);
    tell(`approved by ${approved.decidedBy ?? 'demo'}: ${approved.caution ?? ''}`);
    return { request: asked.id };
  },

  audit: async (stage, tell) => {
    const verdict = await stage.first('verifyAudit', {});
    if (!verdict.ok)
      throw unexpected(`the audit log is broken at entry ${verdict.seq ?? 0}: ${verdict.reason ?? ''}`);
    tell(`${countOf(verdict.count, 'entry', 'entries')} verified; none was changed, removed or inserted`);
    return NONE;
  },
};

const shortId = (id: string): string => id.split('-')[0] ?? id;
const changesText = (count: number): string => countOf(count, 'change');

function unexpected(why: string): PortcullisError {
  return new PortcullisError('INTERNAL', `the tour went another way: ${why}`, {
    hint: 'what it changed is put back; portcullis runs and portcullis rollout status say more',
  });
}

type Part = Output<'getRollout'>['waves'][number]['regions'][number];

/** Whether a region has a share of the version and too few runs or changes under it: another run is due. */
const lacksEvidence = ({ bake, state, permille }: Part): boolean =>
  permille > 0 &&
  state !== 'done' &&
  bake !== null &&
  (bake.runs < bake.runsNeeded || bake.changes < bake.changesNeeded);

async function policyNow(stage: Stage): Promise<Policy> {
  const { source } = await stage.first('getPolicy', { job: JOB });
  return parsePolicyFile(source, 'domain-claim.yaml').policy;
}

async function putInForce(stage: Stage, guard: Parameters<typeof demoPolicy>[1]): Promise<void> {
  const { source } = await stage.first('getPolicy', { job: JOB });
  const { file, text } = demoPolicy(source, guard);
  // So that whoever watches can read it, and put it in force again.
  const folder = join(stage.installation.home, 'tour', guard.replace(' ', '-'));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, file), text);
  await stage.first('applyPolicies', { files: [{ file, text }] });
}

/** Whether a region bakes without a login that failed: nothing can be compared then. */
const lacksComparison = ({ state, verdicts }: Part): boolean =>
  state === 'baking' && verdicts.some(({ rule, verdict }) => rule === 'logins' && verdict === 'too-few');

/** How long a rollout through all waves may take here. */
const ROLLOUT_MS = 150_000;
const BETWEEN_LOGINS_MS = 1_000;
/** More organisations than a region of the sample world has. */
const EVERY = 100;
const MORE_AFTER_MS = 10_000;

/** People log in, and now and then one fails, as on any day: without any nothing could be compared. */
class People {
  readonly #last = new Map<string, number>();

  constructor(private readonly stage: Stage) {}

  async logIn(regions: readonly string[]): Promise<void> {
    for (const region of regions) {
      if (performance.now() - (this.#last.get(region) ?? -Infinity) < BETWEEN_LOGINS_MS) continue;
      this.#last.set(region, performance.now());
      const owner = ownerOf(this.stage, region);
      const { rows } = await owner.query<{ unit: string }>(
        `select id as unit from directory.organisation where home_region = $1 order by random() limit 1`,
        [region],
      );
      await reportFailed(owner, region, `any-${randomUUID()}`, rows);
    }
  }
}

/** Reports a login that failed of each of these organisations, as products do. */
async function reportFailed(
  owner: pg.Pool,
  region: string,
  id: string,
  units: readonly { readonly unit: string }[],
): Promise<void> {
  const at = new Date().toISOString();
  await keepOutcomes(
    owner,
    region,
    units.map(({ unit }) => ({
      ...{ id: `tour-${id}-${unit}`, job: JOB, region, unit, at },
      kind: 'login-failed',
    })),
  );
}

/** Waits until no version has a rollout under way: the control plane has taken the share back. */
async function rolledBack(stage: Stage): Promise<void> {
  await waitFor(stage, 'the rollout of the faulty version is aborted', async () => {
    const { status } = await stage.first('getRollout', { job: JOB });
    return status === 'running' ? undefined : status;
  });
  await waitFor(stage, 'the flags have no share of it', async () => {
    const flags = await listFlags(stage.installation.control, JOB);
    return flags.every(({ variants }) => variants.length <= 1) || undefined;
  });
}

/** What products report: a login that failed, for each organisation that got accounts which are not its own. */
async function reportLogins(owner: pg.Pool, run: string, kinds: readonly string[] | null): Promise<number> {
  const { rows } = await owner.query<{ unit: string }>(
    `select distinct c.unit from portcullis_region.change c where c.run = $1 and ($2::text[] is null or c.kind = any($2))`,
    [run, kinds],
  );
  await reportFailed(owner, CANARY, run, rows);
  return rows.length;
}
