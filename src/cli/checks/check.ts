import type { SourceView } from '../../flags/flag-desk.js';
import type { WorkerContext } from '../../worker/platform.js';
import type { Installation, OpenPlatform, Settings } from '../app-port.js';

/** What the doctor found: `fail` needs a fix, `warn` is worth knowing and may be meant. */
export interface Finding {
  readonly check: string;
  readonly mark: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** One thing that can be wrong. A check that throws counts as failed, with what it threw. */
export interface Check<Of> {
  readonly name: string;
  examine(of: Of): Promise<readonly Omit<Finding, 'check'>[]>;
}

/** An installation that could be opened. */
export interface Patient {
  readonly settings: Settings;
  readonly installation: Installation;
  readonly workerContext: WorkerContext;
  readonly askResolvers: OpenPlatform['askResolvers'];
  /** The flag source as it was heard. */
  readonly flagSource: SourceView;
}
