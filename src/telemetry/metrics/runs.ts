import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { PLACE, type Place } from './places.js';

export type Phase = 'elect' | 'plan' | 'judge' | 'apply' | 'finish';
const STAGES = ['planned', 'applied', 'conflicted'] as const;
export type Stage = (typeof STAGES)[number];

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

/** Runs and their changes. */
export interface RunMetrics {
  runFinished(run: RunFinished): void;
  /**
   * Begins the counters of a version's changes at 0: a series that begins with its first run's changes has no rise that
   * rate() could see, and an alert on it misses the very run that it is for.
   */
  changesExpected(of: Place & { readonly version: string; readonly kinds: Iterable<string> }): void;
  phaseFinished(phase: Place & { readonly phase: Phase; readonly durationMs: number }): void;
  /**
   * How many changes of one kind a finished run had at one stage. Call it for every kind that the job
   * declares, zeros included: the gauge shows the last run, and a kind left out would keep the run's before.
   */
  changes(changes: RunChanges): void;
}

const RUN_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
const PHASE_SECONDS = [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600];
/** From nothing to a million changes, three buckets a decade. */
const CHANGES = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6];

export function measureRuns(registry: Registry): RunMetrics {
  const registers = [registry];
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
  /** The version under which each gauge series of the last run stands, so that a new version replaces it. */
  const versionShown = new Map<string, string>();
  return {
    runFinished({ job, region, version, status, reasonCode, durationMs }) {
      runs.inc({ job, region, version, status, reason_code: reasonCode });
      runSeconds.observe({ job, region, status }, durationMs / 1_000);
    },
    changesExpected({ job, region, version, kinds }) {
      for (const kind of kinds) {
        for (const stage of STAGES) changesTotal.inc({ job, region, version, kind, stage }, 0);
      }
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
  };
}
