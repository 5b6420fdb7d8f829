import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

export type Phase = 'elect' | 'plan' | 'judge' | 'apply' | 'finish';
export type Stage = 'planned' | 'applied' | 'conflicted';

/** Where a run or a gate stands. Never an organisation or an account: labels must stay few. */
export interface Place {
  readonly job: string;
  readonly region: string;
}

/** A rule of a job's policy where it is asked. */
export interface RuleAt extends Place {
  readonly rule: string;
}

export interface RunFinished extends Place {
  readonly version: string;
  readonly status: string;
  readonly reasonCode: string;
  readonly durationMs: number;
}

export interface RunChanges extends Place {
  readonly version: string;
  readonly kind: string;
  readonly stage: Stage;
  readonly count: number;
}

/** The incidents of one job that are not closed. */
export interface IncidentFigures {
  readonly job: string;
  /** How many are in each state. */
  readonly states: Readonly<Record<string, number>>;
  /** When the oldest was opened that is not put right yet, in milliseconds since 1970; null: there is none. */
  readonly oldestAt: number | null;
  readonly organisations: number;
  readonly rows: Readonly<Record<'changed' | 'restored' | 'conflicting', number>>;
}

/** Everything that Portcullis measures about itself. Nobody else touches prom-client. */
export interface Metrics {
  runFinished(run: RunFinished): void;
  phaseFinished(phase: Place & { readonly phase: Phase; readonly durationMs: number }): void;
  /**
   * How many changes of one kind a finished run had at one stage. Call it for every kind that the job
   * declares, zeros included: the gauge shows the last run, and a kind left out would keep the run's before.
   */
  changes(changes: RunChanges): void;
  leaseTakenOver(place: Place): void;
  guardVerdict(verdict: RuleAt & { readonly verdict: string }): void;
  /** The newest value of a figure that a rule decides by: `p`, `lnE`, `observed`, `expected`. */
  guardEvidence(evidence: RuleAt & { readonly measure: string; readonly value: number }): void;
  guardTrip(trip: RuleAt): void;
  /** `detect`: from the first bad change to the trip. `fence`: from the trip to a closed gate. */
  tripSeconds(stage: 'detect' | 'fence', seconds: number): void;
  gateState(gate: Place & { readonly state: GateState }): void;
  /** Seconds until the gate's permit lapses; 0 once it has. */
  permitSeconds(permit: Place & { readonly seconds: number }): void;
  /** Seconds since a flag source was last heard from; infinite if it never was. */
  flagAge(seconds: number, source: string): void;
  /** `problem` is a short fixed word: `unreachable`, `unauthorised`, `malformed`. */
  flagSourceProblem(source: string, problem: string): void;
  /** One resolver's answer to one question, by class (`records`, `NXDOMAIN`, `SERVFAIL`, …). */
  dnsAnswer(answerClass: string): void;
  /** One bad outcome that was new. Without its kind, which is the reporter's word: labels must stay few. */
  outcomeReported(place: Place): void;
  /** One attempt at delivering a notification: taken, failed for now, or given up with this one. */
  notificationTried(outcome: 'delivered' | 'failed' | 'dead'): void;
  /** Deliveries that wait, and that were given up. */
  notificationBacklog(backlog: { readonly pending: number; readonly dead: number }): void;
  /** All incidents that are not closed, by job. Jobs left out this time are shown no more. */
  incidents(byJob: readonly IncidentFigures[]): void;
  httpRequest(request: HttpRequest): void;
  /** The rollouts that are under way, all of them: what was shown of others goes. */
  rollouts(rollouts: readonly RolloutMeasures[], approvalsWaiting: number): void;
  /** Runs before every scrape, for values that are only true when looked at, such as an age. */
  onScrape(refresh: () => void | Promise<void>): void;
  /** The exposition text. Never fails: a refresh that does is counted and its values stay as they were. */
  text(): Promise<string>;
  readonly contentType: string;
}

export interface RolloutMeasures {
  readonly job: string;
  readonly version: string;
  /** The version's share of each region's organisations, 0 to 1. */
  readonly shares: readonly { readonly region: string; readonly share: number }[];
  readonly stepAgeSeconds: number;
  /** How much of its bake the least advanced region has, 0 to 1. */
  readonly bakeProgress: Readonly<Record<'runs' | 'changes' | 'time', number>>;
}

const GATE_STATES = ['open', 'held', 'killed'] as const;
export type GateState = (typeof GATE_STATES)[number];

export interface HttpRequest {
  readonly method: string;
  /** The route's pattern, such as `/api/v1/runs/:id`; never the path that was asked for. */
  readonly route: string;
  readonly status: number;
  readonly durationMs: number;
}

const RUN_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
const PHASE_SECONDS = [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600];
const HTTP_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** From nothing to a million changes, three buckets a decade. */
const CHANGES = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6];

/** Gauges that prom-client names as if they were counters; `promtool check metrics` refuses those names. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

const TRIP_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200];

const PLACE = ['job', 'region'] as const;

/** Recorders with a registry of their own, so that two in one process (tests) do not mix. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);

  const runs = new Counter({
    name: 'portcullis_runs_total',
    help: 'Runs that ended, by outcome.',
    labelNames: [...PLACE, 'version', 'status', 'reason_code'],
    registers,
  });
  const runSeconds = new Histogram({
    name: 'portcullis_run_duration_seconds',
    help: 'Time from a run being elected to its end.',
    labelNames: [...PLACE, 'status'],
    buckets: RUN_SECONDS,
    registers,
  });
  const phaseSeconds = new Histogram({
    name: 'portcullis_run_phase_duration_seconds',
    help: 'Time that one phase of a run took.',
    labelNames: [...PLACE, 'phase'],
    buckets: PHASE_SECONDS,
    registers,
  });
  const lastRunChanges = new Gauge({
    name: 'portcullis_run_changes',
    help: 'Changes of the last run, by kind and stage.',
    labelNames: [...PLACE, 'version', 'kind', 'stage'],
    registers,
  });
  const changesPerRun = new Histogram({
    name: 'portcullis_changes_per_run',
    help: 'Changes per run, by kind and stage.',
    // Without the version: twenty buckets for every version ever deployed would be too many series.
    labelNames: [...PLACE, 'kind', 'stage'],
    buckets: CHANGES,
    registers,
  });
  const changesTotal = new Counter({
    name: 'portcullis_changes_total',
    help: 'Changes of all runs, by kind and stage.',
    labelNames: [...PLACE, 'version', 'kind', 'stage'],
    registers,
  });
  const takeovers = new Counter({
    name: 'portcullis_lease_takeovers_total',
    help: 'Runs that another worker took over after their lease lapsed.',
    labelNames: PLACE,
    registers,
  });
  const guardVerdicts = new Counter({
    name: 'portcullis_guard_verdicts_total',
    help: 'What the rules of the guard said.',
    labelNames: [...PLACE, 'rule', 'verdict'],
    registers,
  });
  const guardEvidence = new Gauge({
    name: 'portcullis_guard_evidence',
    help: 'The newest figures that a rule decides by: p, lnE, observed, expected.',
    labelNames: [...PLACE, 'rule', 'measure'],
    registers,
  });
  const guardTrips = new Counter({
    name: 'portcullis_guard_trips_total',
    help: 'Times that a rule dropped the gate.',
    labelNames: [...PLACE, 'rule'],
    registers,
  });
  const tripSeconds = new Histogram({
    name: 'portcullis_guard_trip_seconds',
    help: 'Time from the first bad change to the trip (detect), and from the trip to a closed gate (fence).',
    labelNames: ['stage'],
    buckets: TRIP_SECONDS,
    registers,
  });
  const gateState = new Gauge({
    name: 'portcullis_gate_state',
    help: 'Whether the gate is in this state: 1 yes, 0 no.',
    labelNames: [...PLACE, 'state'],
    registers,
  });
  const permitSeconds = new Gauge({
    name: 'portcullis_gate_permit_remaining_seconds',
    help: 'Time until the permit of a gate lapses; 0 once it has.',
    labelNames: PLACE,
    registers,
  });
  const flagAge = new Gauge({
    name: 'portcullis_flag_age_seconds',
    help: 'Time since the flag source was last heard from.',
    labelNames: ['source'],
    registers,
  });
  const flagProblems = new Counter({
    name: 'portcullis_flag_source_problems_total',
    help: 'Times that the flag source could not be read.',
    labelNames: ['source', 'problem'],
    registers,
  });
  const dnsAnswers = new Counter({
    name: 'portcullis_dns_answers_total',
    help: 'Answers of DNS resolvers, by class.',
    labelNames: ['class'],
    registers,
  });
  const outcomes = new Counter({
    name: 'portcullis_outcomes_total',
    help: 'Bad outcomes of organisations that products reported.',
    labelNames: PLACE,
    registers,
  });
  const notificationAttempts = new Counter({
    name: 'portcullis_notification_attempts_total',
    help: 'Attempts at delivering a notification, by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const notificationBacklog = new Gauge({
    name: 'portcullis_notification_backlog',
    help: 'Deliveries of notifications that wait, and that were given up.',
    labelNames: ['state'],
    registers,
  });
  const incidents = new Gauge({
    name: 'portcullis_incidents',
    help: 'Incidents that are not closed, by state.',
    labelNames: ['job', 'state'],
    registers,
  });
  const incidentAt = new Gauge({
    name: 'portcullis_incident_oldest_timestamp_seconds',
    help: 'When the oldest incident was opened that is not put right yet; 0 where there is none.',
    labelNames: ['job'],
    registers,
  });
  const incidentOrganisations = new Gauge({
    name: 'portcullis_incident_organisations',
    help: 'Organisations that incidents which are not closed have hit.',
    labelNames: ['job'],
    registers,
  });
  const incidentRows = new Gauge({
    name: 'portcullis_incident_rows',
    help: 'Rows of incidents that are not closed: changed, put back, and left alone by a restore as conflicting.',
    labelNames: ['job', 'measure'],
    registers,
  });
  const httpSeconds = new Histogram({
    name: 'portcullis_http_request_duration_seconds',
    help: 'Time to answer an HTTP request.',
    labelNames: ['method', 'route', 'status'],
    buckets: HTTP_SECONDS,
    registers,
  });
  const rolloutShare = new Gauge({
    name: 'portcullis_rollout_share',
    help: "The share of a region's organisations that a rollout has given to its version, 0 to 1.",
    labelNames: [...PLACE, 'version'],
    registers,
  });
  const rolloutStepAge = new Gauge({
    name: 'portcullis_rollout_step_age_seconds',
    help: 'Time since a rollout last gave a region another share.',
    labelNames: ['job'],
    registers,
  });
  const bakeProgress = new Gauge({
    name: 'portcullis_rollout_bake_progress',
    help: 'How much of its bake the least advanced region of a rollout has, 0 to 1.',
    labelNames: ['job', 'measure'],
    registers,
  });
  const approvalsWaiting = new Gauge({
    name: 'portcullis_approvals_waiting',
    help: 'Requests for approval that wait for a second person.',
    registers,
  });
  const refreshFailures = new Counter({
    name: 'portcullis_scrape_refresh_failures_total',
    help: 'Values that could not be refreshed for a scrape and stayed as they were.',
    registers,
  });

  // Prometheus sees no rise in a series that begins at one: what may happen once begins at zero, here and where
  // its labels are first known.
  for (const stage of ['detect', 'fence']) tripSeconds.zero({ stage });

  /** The version under which each gauge series of the last run stands, so that a new version replaces it. */
  const versionShown = new Map<string, string>();
  const refreshes: (() => void | Promise<void>)[] = [];

  return {
    runFinished({ job, region, version, status, reasonCode, durationMs }) {
      runs.inc({ job, region, version, status, reason_code: reasonCode });
      runSeconds.observe({ job, region, status }, durationMs / 1_000);
    },
    phaseFinished({ job, region, phase, durationMs }) {
      phaseSeconds.observe({ job, region, phase }, durationMs / 1_000);
    },
    changes({ job, region, version, kind, stage, count }) {
      const series = JSON.stringify([job, region, kind, stage]);
      const shown = versionShown.get(series);
      if (shown !== undefined && shown !== version) {
        lastRunChanges.remove({ job, region, version: shown, kind, stage });
      }
      versionShown.set(series, version);
      lastRunChanges.set({ job, region, version, kind, stage }, count);
      changesPerRun.observe({ job, region, kind, stage }, count);
      changesTotal.inc({ job, region, version, kind, stage }, count);
    },
    leaseTakenOver({ job, region }) {
      takeovers.inc({ job, region });
    },
    guardVerdict({ job, region, rule, verdict }) {
      guardVerdicts.inc({ job, region, rule, verdict });
      guardTrips.inc({ job, region, rule }, 0);
    },
    guardEvidence({ job, region, rule, measure, value }) {
      guardEvidence.set({ job, region, rule, measure }, value);
    },
    guardTrip({ job, region, rule }) {
      guardTrips.inc({ job, region, rule });
    },
    tripSeconds(stage, seconds) {
      tripSeconds.observe({ stage }, seconds);
    },
    gateState({ job, region, state }) {
      for (const counter of [takeovers, outcomes]) counter.inc({ job, region }, 0);
      for (const each of GATE_STATES) gateState.set({ job, region, state: each }, each === state ? 1 : 0);
    },
    permitSeconds({ job, region, seconds }) {
      permitSeconds.set({ job, region }, Math.max(0, seconds));
    },
    flagAge(seconds, source) {
      flagAge.set({ source }, seconds);
    },
    flagSourceProblem(source, problem) {
      flagProblems.inc({ source, problem });
    },
    dnsAnswer(answerClass) {
      dnsAnswers.inc({ class: answerClass });
    },
    outcomeReported({ job, region }) {
      outcomes.inc({ job, region });
    },
    notificationTried(outcome) {
      notificationAttempts.inc({ outcome });
    },
    notificationBacklog({ pending, dead }) {
      notificationBacklog.set({ state: 'pending' }, pending);
      notificationBacklog.set({ state: 'dead' }, dead);
    },
    incidents(byJob) {
      for (const gauge of [incidents, incidentAt, incidentOrganisations, incidentRows]) gauge.reset();
      for (const { job, states, oldestAt, organisations, rows } of byJob) {
        for (const [state, count] of Object.entries(states)) incidents.set({ job, state }, count);
        incidentAt.set({ job }, (oldestAt ?? 0) / 1_000);
        incidentOrganisations.set({ job }, organisations);
        for (const [measure, count] of Object.entries(rows)) incidentRows.set({ job, measure }, count);
      }
    },
    httpRequest({ method, route, status, durationMs }) {
      httpSeconds.observe({ method, route, status }, durationMs / 1_000);
    },
    rollouts(rollouts, waiting) {
      for (const gauge of [rolloutShare, rolloutStepAge, bakeProgress]) gauge.reset();
      for (const { job, version, shares, stepAgeSeconds, bakeProgress: progress } of rollouts) {
        for (const { region, share } of shares) rolloutShare.set({ job, region, version }, share);
        rolloutStepAge.set({ job }, stepAgeSeconds);
        for (const [measure, fraction] of Object.entries(progress))
          bakeProgress.set({ job, measure }, fraction);
      }
      approvalsWaiting.set(waiting);
    },
    onScrape(refresh) {
      refreshes.push(refresh);
    },
    async text() {
      const outcomes = await Promise.allSettled(refreshes.map(async (refresh) => refresh()));
      refreshFailures.inc(outcomes.filter((outcome) => outcome.status === 'rejected').length);
      return registry.metrics();
    },
    contentType: registry.contentType,
  };
}
