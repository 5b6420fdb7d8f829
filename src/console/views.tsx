import type { ComponentType } from 'preact';
import { Inbox } from './inbox/inbox.js';
import { Now } from './now/now.js';
import { lazily } from './parts/lazy.js';
import { Rollouts } from './rollout/rollouts.js';

/** A screen of the console. */
export interface View {
  /** Its addresses; the first one is where its link leads. */
  readonly patterns: readonly [string, ...string[]];
  readonly title: string;
  /** The key that leads there, after `g`. */
  readonly key: string;
  readonly Screen: ComponentType;
  /** Whether it has no link at the top: it is found by its key, its address and the palette. */
  readonly unlisted?: true;
}

// Only the first screen must be there at once.
const Incidents = lazily(async () => (await import('./incidents/incidents.js')).Incidents);
const Flags = lazily(async () => (await import('./flags/flags.js')).Flags);
const Record = lazily(async () => (await import('./record/record.js')).Record);
const Units = lazily(async () => (await import('./units/units.js')).Units);
const Tour = lazily(async () => (await import('./tour/tour.js')).Tour);
const Runs = lazily(async () => (await import('./runs/runs.js')).Runs);

/** Every screen, in the order of the links at the top. */
export const VIEWS: readonly View[] = [
  { patterns: ['/', '/now/:job/:region'], title: 'Now', key: 'n', Screen: Now },
  { patterns: ['/inbox', '/inbox/:id'], title: 'Inbox', key: 'i', Screen: Inbox },
  { patterns: ['/rollouts', '/rollouts/:job'], title: 'Rollouts', key: 'r', Screen: Rollouts },
  { patterns: ['/runs', '/runs/:id'], title: 'Runs', key: 'u', Screen: Runs },
  { patterns: ['/incidents', '/incidents/:id'], title: 'Incidents', key: 'c', Screen: Incidents },
  { patterns: ['/flags', '/flags/:job/:region'], title: 'Flags', key: 'f', Screen: Flags },
  { patterns: ['/units'], title: 'Unit', key: 'w', Screen: Units },
  { patterns: ['/record'], title: 'Record', key: 'h', Screen: Record },
  { patterns: ['/tour'], title: 'Tour', key: 't', Screen: Tour, unlisted: true },
];
