import type pg from 'pg';
import { PortcullisError, messageOf } from '../../base/errors.js';
import { requireRegion, unknownName } from '../../base/unknown-name.js';
import { rulesOf, type AlertRule } from '../../flags/guard-policy.js';
import type { Policy } from '../../flags/policy.js';
import type { Judged } from '../verdict.js';
import type { DropGate } from './drop-gate.js';

/** The labels by which an alert says what to kill. */
const JOB_LABEL = 'portcullis_job';
const REGION_LABEL = 'portcullis_region';
const VERSION_LABEL = 'portcullis_version';

/** One alert of Alertmanager's webhook, version 4. */
export interface Alert {
  readonly status: 'firing' | 'resolved';
  readonly fingerprint: string;
  /** RFC 3339. With the fingerprint, it names one firing of the alert. */
  readonly startsAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export const FATES = ['killed', 'known', 'resolved', 'ignored', 'refused', 'failed'] as const;
/**
 * What became of an alert. `killed`: its gates are dropped; `known`: they were, when it came first; `resolved`:
 * noted, and nothing is re-armed; `ignored`: no rule of the policy names it; `refused`: it names no job or region
 * that there is; `failed`: a gate could not be dropped, so that it must be sent again.
 */
export type Fate = (typeof FATES)[number];

export interface AlertFate {
  readonly fingerprint: string;
  readonly name: string;
  readonly fate: Fate;
  readonly reason: string;
}

/** What alerts are received with. */
export interface AlertDesk {
  readonly control: pg.Pool;
  /** The policies in force, by job. */
  readonly policies: ReadonlyMap<string, Policy>;
  readonly dropGate: DropGate;
  /** Throws FORBIDDEN where the sender may not kill in that region. */
  readonly requireMay: (region: string) => void;
}

/** Takes in one alert. Throws FORBIDDEN; whatever else goes wrong is its fate. */
export async function receiveAlert(desk: AlertDesk, alert: Alert): Promise<AlertFate> {
  const { fingerprint, labels } = alert;
  const name = labels['alertname'] ?? '';
  const told = (fate: Fate, reason: string): AlertFate => ({ fingerprint, name, fate, reason });
  const aim = aimOf(desk.policies, labels);
  if ('refusal' in aim) return told('refused', aim.refusal);
  const { policy, regions } = aim;
  for (const region of regions) desk.requireMay(region);
  if (alert.status === 'resolved') {
    await resolve(desk.control, alert);
    return told('resolved', 'noted; what was killed stays so until two people re-arm it');
  }
  const rule = ruleFor(policy, name);
  if (!rule) return told('ignored', `no alert rule of ${policy.job}'s policy names it`);
  const handled = await note(desk.control, alert, policy.job, regions);
  if (handled) return told('known', 'its gates were dropped when it came first');
  const failures = await drop(desk, policy, rule, alert, regions);
  if (failures.length > 0) return told('failed', failures.join('; '));
  await desk.control.query(
    `update portcullis_control.alert set killed_at = clock_timestamp()
     where fingerprint = $1 and starts_at = $2`,
    [fingerprint, alert.startsAt],
  );
  return told('killed', `${policy.job} in ${regions.join(', ')}`);
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

/** Alerts that name the job in that region and are not resolved. */
export async function firingAlerts(
  control: pg.Pool,
  job: string,
  region: string,
): Promise<{ name: string }[]> {
  const { rows } = await control.query<{ name: string }>(
    `select distinct name from portcullis_control.alert
     where job = $1 and $2 = any(regions) and resolved_at is null order by name`,
    [job, region],
  );
  return rows;
}

/** Forgets alerts of more than 90 days ago. */
export async function forgetAlerts(control: pg.Pool): Promise<void> {
  await control.query(
    `delete from portcullis_control.alert where received_at < clock_timestamp() - interval '90 days'`,
  );
}

/** Which job and regions an alert's labels mean; without a region, all of the job's. */
function aimOf(
  policies: ReadonlyMap<string, Policy>,
  labels: Alert['labels'],
): { readonly policy: Policy; readonly regions: readonly string[] } | { readonly refusal: string } {
  const job = labels[JOB_LABEL];
  if (job === undefined) return { refusal: `it has no label ${JOB_LABEL}` };
  try {
    const policy = policies.get(job);
    if (!policy) throw unknownName('JOB_UNKNOWN', 'job', job, [...policies.keys()]);
    const region = labels[REGION_LABEL];
    if (region === undefined) return { policy, regions: policy.regions };
    requireRegion(region, policy.regions);
    return { policy, regions: [region] };
  } catch (error) {
    if (!(error instanceof PortcullisError)) throw error;
    return { refusal: [error.message, error.mend].filter((each) => each !== undefined).join('; ') };
  }
}

function ruleFor(policy: Policy, name: string): AlertRule | undefined {
  return rulesOf(policy.guard.rules, 'alert').find((rule) => speaksOf(rule, name));
}

function speaksOf({ alerts }: AlertRule, name: string): boolean {
  return alerts?.includes(name) ?? true;
}

/** Keeps the alert, and answers whether its gates were dropped before. One that fires again fires. */
async function note(
  control: pg.Pool,
  { fingerprint, startsAt, labels, annotations }: Alert,
  job: string,
  regions: readonly string[],
): Promise<boolean> {
  const { rows } = await control.query<{ handled: boolean }>(
    `insert into portcullis_control.alert (fingerprint, starts_at, job, regions, name, labels, annotations)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (fingerprint, starts_at) do update set regions = excluded.regions
     returning killed_at is not null as handled`,
    [fingerprint, startsAt, job, regions, labels['alertname'] ?? '', labels, annotations],
  );
  return rows[0]?.handled ?? false;
}

async function resolve(control: pg.Pool, { fingerprint, startsAt }: Alert): Promise<void> {
  await control.query(
    `update portcullis_control.alert set resolved_at = coalesce(resolved_at, clock_timestamp())
     where fingerprint = $1 and starts_at = $2`,
    [fingerprint, startsAt],
  );
}

/** Drops the gates of an alert. Answers where that failed, and why. */
async function drop(
  { dropGate }: AlertDesk,
  { job, guard }: Policy,
  rule: AlertRule,
  { labels, annotations, startsAt }: Alert,
  regions: readonly string[],
): Promise<string[]> {
  const said = annotations['summary'] ?? annotations['description'];
  const judged: Judged = {
    verdict: 'fail',
    rule: rule.name,
    reason: `${rule.name}: ${labels['alertname'] ?? 'an alert'} fires${said === undefined ? '' : `: ${said.slice(0, 500)}`}`,
    figures: { alert: labels['alertname'] ?? '', startsAt },
  };
  const version = labels[VERSION_LABEL] ?? null;
  const order = { job, version, failed: [judged], restore: guard.onTrip.restore } as const;
  const ends = await Promise.allSettled(regions.map((region) => dropGate({ ...order, region })));
  return ends.flatMap((end, at) =>
    end.status === 'rejected' ? [`${regions[at] ?? ''}: ${messageOf(end.reason)}`] : [],
  );
}
