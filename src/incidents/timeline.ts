import type pg from 'pg';
import { z } from 'zod';
import { hasBreakGlass } from '../flags/break-glass.js';
import { countOf, time } from '../kernel/words.js';
import { notificationsOf, type Notification, type Delivery } from '../notify/browse.js';
import type { Assessment } from './assess-incident.js';
import type { Incident } from './incident.js';
import type { IncidentRun } from './incident-runs.js';
import { isoTime } from '../kernel/schema.js';

/** One thing that happened. */
export const Moment = z.strictObject({
  at: isoTime,
  what: z.string().describe('what happened, in one line'),
  who: z.string().nullable().describe('a principal, or `system:…`; null for what a run did'),
  kind: z
    .string()
    .describe('its word in the record, the runs or the outbox: `kill`, `first-change`, `notified`'),
});
export type Moment = z.infer<typeof Moment>;

/**
 * What happened, in order: from the flag that let the first bad run begin, through its first change, the trip
 * or kill, whom it was told to and the restores, to the close. Made from the audit log, the runs and the outbox
 * of notifications, and so never told otherwise; the outbox forgets after a month.
 */
export async function timelineOf(
  control: pg.Pool,
  { incident, runs }: Pick<Assessment, 'incident' | 'runs'>,
): Promise<Moment[]> {
  const told = await notificationsOf(control, incident.id);
  const decided = await decisions(control, incident, runs, told);
  const tripped = await tripsOf(control, incident);
  return [...tripped, ...decided, ...told.flatMap(tellingOf), ...runs.flatMap(momentsOf)].sort(
    (a, b) => Date.parse(a.at) - Date.parse(b.at) || (a.who === null ? -1 : 1),
  );
}

function momentsOf(run: IncidentRun): Moment[] {
  const name = `run ${run.id.slice(0, 8)} of ${run.version} in ${run.region}`;
  const moments: (Omit<Moment, 'at' | 'who'> & { readonly at: string | null })[] = [
    { at: run.createdAt, kind: 'run-began', what: `${name} began (${run.trigger})` },
    { at: run.firstAppliedAt, kind: 'first-change', what: `${name}: its first changes committed` },
    { at: run.finishedAt, kind: `run-${run.status}`, what: `${name} ended as ${run.status}: ${run.reason}` },
  ];
  for (const restore of run.restores) {
    const rows = `${countOf(restore.restored, 'row')} put back`;
    const kept = restore.conflicts === 0 ? '' : `, ${countOf(restore.conflicts, 'conflict')} skipped`;
    moments.push(
      { at: restore.createdAt, kind: 'restore-began', what: `restore of ${name} began` },
      {
        at: restore.finishedAt,
        kind: `restore-${restore.status}`,
        what: `restore of ${name} ended as ${restore.status}: ${rows}${kept}`,
      },
    );
  }
  return moments.flatMap(({ at, ...rest }) => (at === null ? [] : [{ at, who: null, ...rest }]));
}

interface TripRow {
  readonly version: string | null;
  readonly closed: 'candidate' | 'region';
  readonly at: Date;
  readonly fenced_at: Date;
  readonly region: string;
  readonly failed: readonly { readonly rule: string; readonly reason: string }[];
}

/** When rules failed and when what they close was closed, by the region's clock: the record comes later than both. */
async function tripsOf(control: pg.Pool, { id, job }: Incident): Promise<Moment[]> {
  const { rows } = await control.query<TripRow>(
    `select at, fenced_at, region, failed, version, closed from portcullis_control.trip
     where incident = $1 order by at limit ${MOST}`,
    [id],
  );
  return rows.flatMap(({ at, fenced_at, region, failed, version, closed }) => {
    const who = `guard:${failed[0]?.rule ?? ''}`;
    const reasons = failed.map(({ reason }) => reason).join('; ');
    return [
      { at: at.toISOString(), who, kind: 'rule-failed', what: `failed in ${region}: ${reasons}` },
      {
        ...{ at: fenced_at.toISOString(), who, kind: 'fenced' },
        what:
          closed === 'region'
            ? `closed the gate ${job}.${region}: no change commits there any more`
            : `quarantined ${version ?? ''} in ${region}: no change of it commits there any more; the gate ${job}.${region} stays open for other versions`,
      },
    ];
  });
}

/** How long before the first bad run a flag's change is still part of the story: what let it begin. */
const BEFORE = '1 day';
/** A kill is on the record right before the incident that it opens. */
const LEEWAY = '1 minute';
/** As many as anybody reads. */
const MOST = 500;

interface DecisionRow {
  readonly at: Date;
  readonly principal: string;
  readonly action: string;
  readonly subject: string;
  readonly evidence: Readonly<Record<string, unknown>>;
}

/** What the record has about the incident, its gates, flags and version, its runs, who was told, and requests. */
async function decisions(
  control: pg.Pool,
  incident: Incident,
  runs: readonly IncidentRun[],
  told: readonly Notification[],
): Promise<Moment[]> {
  const { id, job, version, regions, openedAt, closedAt } = incident;
  const subjects = [
    ...regions.map(({ region }) => `${job}.${region}`),
    ...(version === null
      ? []
      : [`${job} ${version}`, ...regions.map(({ region }) => `${job} ${version} in ${region}`)]),
    ...runs.map((run) => run.id),
    ...told.map((notice) => notice.id),
  ];
  const titles = new Map(told.map(({ id: notice, title }) => [notice, title]));
  const since = [openedAt, ...regions.map((region) => region.since)].sort(
    (a, b) => Date.parse(a) - Date.parse(b),
  )[0];
  const { rows } = await control.query<DecisionRow>(
    `select at, principal, action, subject, evidence from portcullis_control.audit
     where subject = $1
        or (subject = any($7) and at <= coalesce($4, 'infinity'::timestamptz))
        or (at between $3::timestamptz - $5::interval and coalesce($4, 'infinity'::timestamptz)
            and (subject = any($2) or evidence ->> 'subject' = any($2))
            and (at >= $3::timestamptz - $6::interval or action in ('set-flag', 'rollout-advance')) and action <> 'restore-ended')
        -- However long ago: that nobody checked is part of the story.
        or (subject = any($2) and action in ('rollout-skip-bake', 'rollout-promote') and at <= coalesce($4, 'infinity'::timestamptz))
     order by seq limit ${MOST}`,
    [id, subjects, since, closedAt, BEFORE, LEEWAY, await breakGlassWithin(control, incident, since)],
  );
  return rows.map(({ at, principal, action, subject, evidence }) => ({
    at: at.toISOString(),
    who: principal,
    kind: action,
    what: wordsOf(action, subject === id ? undefined : (titles.get(subject) ?? shortened(subject)), evidence),
  }));
}

/**
 * The requests for break-glass of the incident's version in its regions that fall into it: in force after `since`, or
 * asked for not long before, whatever became of them.
 */
async function breakGlassWithin(
  control: pg.Pool,
  { job, version, regions, closedAt }: Incident,
  since: string | undefined,
): Promise<string[]> {
  if (version === null || !(await hasBreakGlass(control))) return [];
  const { rows } = await control.query<{ id: string }>(
    `select id from portcullis_control.approval a
     where action = 'break-glass' and request->>'job' = $1 and request->>'version' = $2
       and request->'regions' ?| $3 and requested_at <= coalesce($4, 'infinity'::timestamptz)
       and (requested_at >= $5::timestamptz - $6::interval or exists (
         select from portcullis_control.break_glass b
         where b.id = a.id and b.region = any($3)
           and least(coalesce(b.ended_at, 'infinity'), b.expires_at) >= $5::timestamptz))
     order by requested_at limit ${MOST}`,
    [job, version, regions.map(({ region }) => region), closedAt, since, BEFORE],
  );
  return rows.map(({ id }) => id);
}

/** A run's id by its first eight digits, as everywhere. */
function shortened(subject: string): string {
  return /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(subject) ? `of run ${subject.slice(0, 8)}` : subject;
}

/** Actions of the record, as a sentence says them that begins with who acted. Others stand as they are. */
const DID: Readonly<Record<string, string>> = {
  approve: 'approved',
  'approve-alone': 'asked to approve alone:',
  'assess-incident': 'assessed the incident',
  'close-incident': 'closed the incident',
  'grant-break-glass': 'granted break-glass',
  'hold-bake': 'held the bake of',
  'include-run': 'named a bad run',
  'join-incident': 'joined the incident',
  'join-request': 'joined the request for',
  kill: 'killed',
  'move-incident': 'moved the incident on',
  'open-incident': 'opened the incident',
  quarantine: 'quarantined',
  rearm: 're-armed',
  reject: 'rejected',
  'request-approval': 'asked for',
  restore: 'asked for a restore',
  'retry-notification': 'sent again:',
  'rollout-abort': 'aborted the rollout of',
  'rollout-advance': 'moved on the rollout of',
  'rollout-pause': 'paused the rollout of',
  'rollout-promote': 'promoted the rollout of',
  'rollout-resume': 'resumed the rollout of',
  'rollout-skip-bake': 'skipped the bake of',
  'rollout-start': 'started the rollout of',
  'set-flag': 'set the flag of',
  trip: 'tripped',
};

/** An entry of the record in words: what it says of itself, or its reason. */
function wordsOf(
  action: string,
  subject: string | undefined,
  evidence: Readonly<Record<string, unknown>>,
): string {
  const text = (name: string): string | undefined => {
    const value = evidence[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const from = text('from');
  const to = text('to');
  const moved = from !== undefined && to !== undefined && from !== to ? `${from} → ${to}` : undefined;
  const severity = action === 'assess-incident' ? text('severity') : undefined;
  const given = action === 'grant-break-glass' ? givenBy(evidence) : undefined;
  const about =
    text('action') === undefined ? subject : `${text('action') ?? ''} of ${text('subject') ?? ''}`;
  const details = [moved, severity && `severity ${severity}`, given, text('title') ?? text('reason')].filter(
    (each) => each !== undefined,
  );
  const did = DID[action] ?? action;
  const what = about === undefined ? did : `${did} ${about}`;
  return details.length === 0 ? what : `${what}: ${details.join('; ')}`;
}

/** `1.1.0_22222222 for 50% of eu-west-1 until 2026-11-23T10:00:00Z`. */
function givenBy({ version, permille, regions, until }: Readonly<Record<string, unknown>>): string {
  const where = Array.isArray(regions) ? regions.join(', ') : '';
  return `${String(version)} for ${Number(permille) / 10}% of ${where} until ${time(String(until))}`;
}

/** Who tells people, on the timeline. */
const TELLER = 'system:notify';

/**
 * Who was told of something and when, or that nobody was: one moment for each receiver. What has not come to an
 * end stands where it was to be told. A receiver is a host and a fingerprint, never an address.
 */
function tellingOf({ title, at, deliveries }: Notification): Moment[] {
  if (deliveries.length === 0) {
    const what = `no notification sent, no receiver is configured: ${title}`;
    return [{ at, who: TELLER, kind: 'notification-unaddressed', what }];
  }
  return deliveries.map((delivery) => ({
    at: delivery.endedAt ?? at,
    who: TELLER,
    ...outcomeOf(delivery, title),
  }));
}

function outcomeOf(
  { receiver, state, attempts, lastProblem }: Delivery,
  title: string,
): Pick<Moment, 'kind' | 'what'> {
  const tries = countOf(attempts, 'attempt');
  const problem = lastProblem === null ? '' : `, ${lastProblem}`;
  switch (state) {
    case 'delivered':
      return { kind: 'notified', what: `notified ${receiver}: ${title}` };
    case 'dead':
      return {
        kind: 'notification-dead',
        what: `never reached ${receiver}, a dead letter after ${tries}${problem}: ${title}`,
      };
    case 'pending':
      return {
        kind: 'notification-pending',
        what: `has not reached ${receiver} yet, ${tries} so far${problem}: ${title}`,
      };
  }
}
