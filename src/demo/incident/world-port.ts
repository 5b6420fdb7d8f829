import type pg from 'pg';
import type { Platform } from '../../worker/platform.js';
import type { LoadedJob } from '../../worker/registry.js';
import type { WorldSize } from './world.js';

/** One copy of the world in a database of its own, with all that runs on it: wired by `app`. */
export interface OpenWorld {
  readonly size: WorldSize;
  /** The owner's login: the world is its own, and so are control plane and region database. */
  readonly owner: pg.Pool;
  readonly platform: Platform;
  readonly stable: LoadedJob;
  readonly faulty: LoadedJob;
  readonly signal: AbortSignal;
}

/** Told what is going on, for a progress display. */
export type Say = (text: string) => void;
