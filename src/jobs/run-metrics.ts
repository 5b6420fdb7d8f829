import type { Judged } from '../guard/verdict.js';
import type { Run } from '../scheduler/election.js';
import type { Finished } from '../scheduler/finish.js';
import type { Metrics, Phase, Stage } from '../telemetry/metrics.js';

export function measurePhase(metrics: Metrics, { job, region }: Run, phase: Phase, durationMs: number): void {
  metrics.phaseFinished({ job, region, phase, durationMs });
}

/** What the rules said, and the figures that they said it on: those with a name of their own. */
export function measureVerdicts(metrics: Metrics, { job, region }: Run, judged: readonly Judged[]): void {
  for (const { rule, verdict, figures } of judged) {
    metrics.guardVerdict({ job, region, rule, verdict });
    for (const measure of ['p', 'lnE', 'observed', 'expected'] as const) {
      const value = figures[measure];
      if (typeof value === 'number') metrics.guardEvidence({ job, region, rule, measure, value });
    }
  }
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
