import { Gauge, type Registry } from 'prom-client';
import { PLACE, type Place } from './places.js';

export interface RolloutMeasures {
  readonly job: string;
  readonly version: string;
  /** The version's share of each region's units, 0 to 1. */
  readonly shares: readonly { readonly region: string; readonly share: number }[];
  /** How many bakes each region left out, which nobody checked. */
  readonly skippedBakes: readonly { readonly region: string; readonly bakes: number }[];
  readonly stepAgeSeconds: number;
  /** How much of its bake the least advanced region has, 0 to 1. */
  readonly bakeProgress: Readonly<Record<'runs' | 'changes' | 'time', number>>;
}

export interface RolloutMetrics {
  /** The rollouts that are under way, all of them: what was shown of others goes. */
  rollouts(rollouts: readonly RolloutMeasures[], approvalsWaiting: number): void;
  /** The break-glass that is in force, all of it. */
  breakGlass(inForce: readonly (Place & { readonly version: string; readonly permille: number })[]): void;
}

export function measureRollouts(registry: Registry): RolloutMetrics {
  const registers = [registry];
  const shareGiven = new Gauge({
    name: 'portcullis_rollout_share',
    help: "The share of a region's units that a rollout has given to its version, 0 to 1.",
    labelNames: [...PLACE, 'version'],
    registers,
  });
  const skipped = new Gauge({
    name: 'portcullis_rollout_skipped_bakes',
    help: 'Bakes that a rollout under way left out at the request of a person: nobody checked these steps.',
    labelNames: [...PLACE, 'version'],
    registers,
  });
  const stepAge = new Gauge({
    name: 'portcullis_rollout_step_age_seconds',
    help: 'Time since a rollout last gave a region another share.',
    labelNames: ['job'],
    registers,
  });
  const progress = new Gauge({
    name: 'portcullis_rollout_bake_progress',
    help: 'How much of its bake the least advanced region of a rollout has, 0 to 1.',
    labelNames: ['job', 'measure'],
    registers,
  });
  const waiting = new Gauge({
    name: 'portcullis_approvals_waiting',
    help: 'Requests for approval that wait for a second person.',
    registers,
  });
  const breakGlass = new Gauge({
    name: 'portcullis_break_glass_share',
    help: "The share of a region's units that break-glass admits a version to, 0 to 1; absent: none is in force.",
    labelNames: [...PLACE, 'version'],
    registers,
  });
  return {
    breakGlass(inForce) {
      breakGlass.reset();
      for (const { job, region, version, permille } of inForce)
        breakGlass.set({ job, region, version }, permille / 1000);
    },
    rollouts(rollouts, approvalsWaiting) {
      for (const gauge of [shareGiven, skipped, stepAge, progress]) gauge.reset();
      for (const { job, version, shares, skippedBakes, stepAgeSeconds, bakeProgress } of rollouts) {
        for (const { region, share } of shares) shareGiven.set({ job, region, version }, share);
        for (const { region, bakes } of skippedBakes) skipped.set({ job, region, version }, bakes);
        stepAge.set({ job }, stepAgeSeconds);
        for (const [measure, fraction] of Object.entries(bakeProgress))
          progress.set({ job, measure }, fraction);
      }
      waiting.set(approvalsWaiting);
    },
  };
}
