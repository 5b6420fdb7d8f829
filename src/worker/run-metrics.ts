import type { Run } from '../runs/election.js';
import type { Finished } from '../runs/finish.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Phase, Stage } from '../telemetry/metrics/runs.js';

export function measurePhase(metrics: Metrics, { job, region }: Run, phase: Phase, durationMs: number): void {
  metrics.phaseFinished({ job, region, phase, durationMs });
}

/** A finished run, with each of the kinds of change that its job has. */
export function measureRun(
  metrics: Metrics,
  kinds: readonly string[],
  { job, region, version }: Run,
  finished: Finished,
): void {
  const { status, code: reasonCode, durationMs, planned, applied, conflictsByKind } = finished;
  metrics.runFinished({ job, region, version, status, reasonCode, durationMs });
  const stages: Readonly<Record<Stage, Readonly<Record<string, number>>>> = {
    planned,
    applied,
    conflicted: conflictsByKind,
  };
  for (const kind of kinds) {
    for (const stage of Object.keys(stages) as Stage[]) {
      metrics.changes({ job, region, version, kind, stage, count: stages[stage][kind] ?? 0 });
    }
  }
}
