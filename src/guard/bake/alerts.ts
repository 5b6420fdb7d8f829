import type pg from 'pg';
import { PortcullisError, messageOf } from '../../kernel/errors.js';
import { shorten, storableJson } from '../../kernel/text.js';
import { currentSpelling } from '../../kernel/version-named.js';
import { requireRegion, unknownName } from '../../kernel/unknown-name.js';
import { rulesOf, type AlertRule } from '../../flags/guard-policy.js';
import type { Policy } from '../../flags/policy.js';
import { closingOf, type Closing } from '../../containment/closing.js';
import type { Judged } from '../../containment/verdict.js';
import type { DropGate } from '../../containment/drop-gate.js';
import { kept, readAlert, type Alert } from './read-alert.js';

/** The labels by which an alert says what to kill. */
const JOB_LABEL = 'portcullis_job';
const REGION_LABEL = 'portcullis_region';
const VERSION_LABEL = 'portcullis_version';

export const FATES = ['killed', 'known', 'resolved', 'ignored', 'refused', 'failed'] as const;
/**
 * What became of an alert. `killed`: what it names is stopped, as the reason says; `known`: they were, when it came first; `resolved`:
 * noted, and nothing is re-armed; `ignored`: no rule of the policy names it; `refused`: it cannot be understood, names
 * no job or region that there is, or one that its sender may not kill; `failed`: a gate could not be dropped, or it
 * could not be noted, so that it must be sent again.
 */
export type Fate = (typeof FATES)[number];

export interface AlertFate {
  readonly fingerprint: string;
  readonly name: string;
  readonly fate: Fate;
  readonly reason: string;
}

/** What alerts may kill of a job. */
export type AlertTarget = Pick<Policy, 'job' | 'regions'> & {
  /** The policy's alert rules and what its trips do; absent: the policy is malformed. */
  readonly guard?: Policy['guard'];
  /** Why the policy is malformed. */
  readonly malformed?: string;
};

/** What alerts are received with. */
export interface AlertDesk {
  readonly control: pg.Pool;
  /** By job. */
  readonly targets: ReadonlyMap<string, AlertTarget>;
  readonly dropGate: DropGate;
  /** Throws FORBIDDEN where the sender may not kill in that region. */
  readonly requireMay: (region: string) => void;
}

/** Alerts of one call that are looked at; each may take a kill. */
export const MOST_ALERTS = 5_000;
const NAME_LENGTH = 200;
const SUMMARY_LENGTH = 500;

/**
 * Takes a batch's alerts in, one by one: none keeps another from killing. Answers what became of each, in the order of
 * the batch. A gate's first alert comes before the further ones of other gates, which kill nothing new.
 */
export async function receiveAlerts(desk: AlertDesk, batch: readonly unknown[]): Promise<AlertFate[]> {
  const alerts = batch.slice(0, MOST_ALERTS).map(readAlert);
  const gates = new Set<string>();
  const first = alerts.map((alert) => {
    const gate = JSON.stringify([JOB_LABEL, REGION_LABEL].map((label) => alert?.labels[label]));
    return alert?.status === 'firing' && gates.size < gates.add(gate).size;
  });
  const fates: AlertFate[] = batch.map(() => TOO_MANY);
  for (const early of [true, false]) {
    for (const [index, alert] of alerts.entries()) {
      if (first[index] === early) fates[index] = await receive(desk, alert);
    }
  }
  return fates;
}

const TOO_MANY: AlertFate = {
  ...{ fingerprint: '', name: '', fate: 'refused' },
  reason: `it is beyond the ${MOST_ALERTS} alerts that one call may bring: lower max_alerts`,
};

async function receive(desk: AlertDesk, alert: Alert | undefined): Promise<AlertFate> {
  if (!alert) {
    return { ...{ fingerprint: '', name: '', fate: 'refused' }, reason: 'it is no alert: it has no labels' };
  }
  const { fingerprint } = alert;
  const name = nameOf(alert);
  try {
    return { fingerprint, name, ...(await carryOut(desk, alert, name)) };
  } catch (error) {
    return { fingerprint, name, fate: 'failed', reason: messageOf(error) };
  }
}

async function carryOut(
  desk: AlertDesk,
  alert: Alert,
  name: string,
): Promise<Pick<AlertFate, 'fate' | 'reason'>> {
  const aim = aimOf(desk.targets, alert.labels);
  if ('refusal' in aim) return { fate: 'refused', reason: aim.refusal };
  const { target } = aim;
  const denied: string[] = [];
  const regions = aim.regions.filter((region) => {
    try {
      desk.requireMay(region);
      return true;
    } catch (error) {
      denied.push(refusalOf(error));
      return false;
    }
  });
  if (regions.length === 0) return { fate: 'refused', reason: denied.join('; ') };
  if (alert.status === 'resolved') {
    await resolve(desk.control, alert, target.job, regions);
    return { fate: 'resolved', reason: 'noted; what was killed stays so until two people re-arm it' };
  }
  const rule = ruleFor(target, name);
  if (rule === undefined)
    return { fate: 'ignored', reason: `no alert rule of ${target.job}'s policy names it` };
  let killed = '';
  const noted = await note(desk.control, alert, target.job, regions);
  if (!noted.handled) {
    const event = `alert ${alert.fingerprint} of ${noted.startsAt}`;
    const { stopped, failures } = await drop(desk, target, rule, alert, regions, event);
    if (failures.length > 0) return { fate: 'failed', reason: failures.join('; ') };
    killed = stopped.join('; ');
    // Its end may have been noted in the same moment as its beginning, and neither have seen the other.
    await desk.control.query(
      `update portcullis_control.alert a
       set killed_at = clock_timestamp(), resolved_at = coalesce(a.resolved_at, ${resolvedAfter('a.starts_at')})
       where a.fingerprint = $1 and a.starts_at = $2`,
      [alert.fingerprint, noted.startsAt],
    );
  }
  // What it names beyond the sender's regions is told to people; what is within them is killed all the same.
  if (denied.length > 0) {
    return { fate: 'refused', reason: `killed in ${regions.join(', ')} only: ${denied.join('; ')}` };
  }
  if (noted.handled) return { fate: 'known', reason: 'its gates were killed when it first fired' };
  const unread =
    target.malformed === undefined ? '' : `; ${target.malformed}, so each alert that names it kills`;
  return { fate: 'killed', reason: `${killed}${unread}` };
}

/** Judges by the alerts that are firing for a job in a region. */
export function judgeAlerts(rule: AlertRule, firing: readonly { readonly name: string }[]): Judged {
  const names = firing.map(({ name }) => name).filter((name) => speaksOf(rule, name));
  return {
    verdict: names.length > 0 ? 'fail' : 'pass',
    rule: rule.name,
    reason: `${rule.name}: ${names.length > 0 ? `${names.join(', ')} fires` : 'no alert fires'}`,
    figures: { observed: names.length, limit: 0 },
  };
}

/** Which job and regions an alert's labels mean; without a region, all of the job's. */
function aimOf(
  targets: ReadonlyMap<string, AlertTarget>,
  labels: Alert['labels'],
): { readonly target: AlertTarget; readonly regions: readonly string[] } | { readonly refusal: string } {
  const job = labels[JOB_LABEL];
  if (job === undefined) return { refusal: `it has no label ${JOB_LABEL}` };
  try {
    const target = targets.get(job);
    if (!target) throw unknownName('JOB_UNKNOWN', 'job', shorten(job, NAME_LENGTH), [...targets.keys()]);
    const region = labels[REGION_LABEL];
    if (region === undefined && target.regions.length > 0) return { target, regions: target.regions };
    if (region !== undefined && target.regions.includes(region)) return { target, regions: [region] };
    if (target.regions.length === 0)
      return { refusal: `${target.malformed ?? target.job}; it has no gate and no flag to kill` };
    requireRegion(shorten(region ?? '', NAME_LENGTH), target.regions);
    return { target, regions: [] };
  } catch (error) {
    return { refusal: refusalOf(error) };
  }
}

function refusalOf(error: unknown): string {
  if (!(error instanceof PortcullisError)) throw error;
  return [error.message, error.hint].filter((each) => each !== undefined).join('; ');
}

function nameOf({ labels }: Alert): string {
  return shorten(labels['alertname'] ?? '', NAME_LENGTH);
}

/** The name of the rule that has an alert kill. Where the rules cannot be read, each alert kills. */
function ruleFor({ guard }: AlertTarget, name: string): string | undefined {
  if (guard === undefined) return 'alert';
  return rulesOf(guard.rules, 'alert').find((rule) => speaksOf(rule, name))?.name;
}

function speaksOf({ alerts }: AlertRule, name: string): boolean {
  return alerts?.includes(name) ?? true;
}

/** Alertmanager repeats what fires, after `repeat_interval`; what nobody repeats for so long fires no more. */
const FIRES_FOR = `interval '24 hours'`;

/** An alert that says not when it began: the same firing as its last one that is not over, or one that begins now. */
const STARTS_AT = `coalesce($2::timestamptz,
  (select max(starts_at) from portcullis_control.alert where fingerprint = $1 and resolved_at is null),
  clock_timestamp())`;

/** When Alertmanager said that an alert was over which had begun at that time; null where it did not. */
const resolvedAfter = (startsAt: string): string => `
  (select max(e.resolved_at) from portcullis_control.alert e where e.fingerprint = $1 and e.ended_at >= ${startsAt})`;

/**
 * Keeps an alert that fires, and answers whether its gates were dropped before. One whose resolution came first, as
 * instances of Alertmanager that run side by side send it, is kept as resolved: it kills, and does not go on firing.
 */
async function note(
  control: pg.Pool,
  alert: Alert,
  job: string,
  regions: readonly string[],
): Promise<{ readonly handled: boolean; readonly startsAt: string }> {
  const { rows } = await control.query<{ handled: boolean; startsAt: string }>(
    `insert into portcullis_control.alert as a
       (fingerprint, starts_at, job, regions, name, labels, annotations, fires_until, resolved_at)
     values ($1, ${STARTS_AT}, $3, $4, $5, $6, $7, coalesce($8, clock_timestamp() + ${FIRES_FOR}),
       ${resolvedAfter('$2')})
     on conflict (fingerprint, starts_at) do update
     set regions = excluded.regions, fires_until = excluded.fires_until,
         resolved_at = coalesce(a.resolved_at, excluded.resolved_at)
     returning killed_at is not null as handled, starts_at::text as "startsAt"`,
    [...columnsOf(alert, job, regions), endOf(alert)],
  );
  const [row] = rows;
  if (!row) throw new Error('the alert was not kept');
  return row;
}

/**
 * Notes that an alert is resolved, also of a firing that has not come yet. Earlier firings of it are over too: of one
 * that fires again within Alertmanager's `group_interval`, only the last is resolved by name.
 */
async function resolve(
  control: pg.Pool,
  alert: Alert,
  job: string,
  regions: readonly string[],
): Promise<void> {
  await control.query(
    `with resolution as (
       insert into portcullis_control.alert as a
         (fingerprint, starts_at, job, regions, name, labels, annotations, fires_until, resolved_at, ended_at)
       values ($1, ${STARTS_AT}, $3, $4, $5, $6, $7, clock_timestamp(), clock_timestamp(), $8)
       on conflict (fingerprint, starts_at) do update
       set resolved_at = coalesce(a.resolved_at, excluded.resolved_at), ended_at = coalesce(a.ended_at, excluded.ended_at)
       returning starts_at, resolved_at, ended_at
     )
     update portcullis_control.alert a set resolved_at = r.resolved_at, ended_at = coalesce(a.ended_at, r.ended_at)
     from resolution r
     where a.fingerprint = $1 and a.resolved_at is null and a.starts_at <> r.starts_at
       and a.starts_at <= greatest(r.starts_at, r.ended_at)`,
    [...columnsOf(alert, job, regions), endOf(alert)],
  );
}

function columnsOf(alert: Alert, job: string, regions: readonly string[]): unknown[] {
  const { fingerprint, startsAt = null, labels, annotations } = alert;
  return [
    ...[fingerprint, startsAt, job, regions, nameOf(alert)],
    ...[storableJson(kept(labels)), storableJson(kept(annotations))],
  ];
}

/** An end that is before the beginning is none. */
function endOf({ startsAt, endsAt }: Alert): string | null {
  return endsAt !== undefined && Date.parse(endsAt) > Date.parse(startsAt ?? '') ? endsAt : null;
}

/** Stops what an alert names. Answers what was stopped, and where that failed, and why. */
async function drop(
  { dropGate }: AlertDesk,
  { job, guard }: AlertTarget,
  rule: string,
  alert: Alert,
  regions: readonly string[],
  event: string,
): Promise<{ readonly stopped: readonly string[]; readonly failures: readonly string[] }> {
  const { labels, annotations, startsAt = '' } = alert;
  const said = annotations['summary'] ?? annotations['description'];
  const name = nameOf(alert);
  const judged: Judged = {
    verdict: 'fail',
    rule,
    reason: `${rule}: ${name || 'an alert'} fires${said === undefined ? '' : `: ${shorten(said, SUMMARY_LENGTH)}`}`,
    figures: { alert: name, startsAt },
  };
  const named = labels[VERSION_LABEL];
  const version = named === undefined ? null : shorten(currentSpelling(named), NAME_LENGTH);
  // An alert that names a version is about that version.
  const closing: Closing = guard
    ? closingOf(guard.onTrip, { version, shared: [] })
    : { close: 'region', why: 'the policy is malformed' };
  const restore = guard?.onTrip.restore ?? 'propose';
  const order = { job, version, failed: [judged], restore, closing, event } as const;
  const ends = await Promise.allSettled(regions.map((region) => dropGate({ ...order, region })));
  const closed = (close: Closing['close']): string[] =>
    ends.flatMap((end, at) =>
      end.status === 'fulfilled' && end.value.close === close ? (regions[at] ?? []) : [],
    );
  const texts = [
    [job, closed('region')] as const,
    [`${job} ${version ?? ''} alone`, closed('candidate')] as const,
  ];
  return {
    stopped: texts.flatMap(([what, where]) => (where.length === 0 ? [] : [`${what} in ${where.join(', ')}`])),
    failures: ends.flatMap((end, at) =>
      end.status === 'rejected' ? [`${regions[at] ?? ''}: ${messageOf(end.reason)}`] : [],
    ),
  };
}
