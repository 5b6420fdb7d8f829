import { signal } from '@preact/signals';
import type { Output } from './api.js';
import type { Run } from './parts/run-status.js';

/** What a flag is to be: on or off, or as it was at a revision. */
export type FlagTarget =
  | { readonly enabled: boolean }
  | {
      readonly revision: number;
      readonly setting: Pick<Output<'listFlags'>['items'][number], 'enabled' | 'variants'>;
    };

/** One unit's changes of a run, or one row's. */
export type RunPart = { readonly unit: string } | { readonly key: string };

/** The dialog that is open: one at a time, from whatever screen. */
export type OpenDialog =
  | {
      readonly kind: 'kill';
      readonly job?: string | undefined;
      readonly region?: string | undefined;
      readonly everything?: boolean;
    }
  | { readonly kind: 'rearm'; readonly job: string; readonly region: string }
  | {
      readonly kind: 'decide';
      readonly request: Output<'listApprovals'>['items'][number];
      readonly decision: 'approve' | 'reject' | 'approveAlone';
    }
  | {
      readonly kind: 'steer';
      readonly rollout: Output<'getRollout'>;
      readonly steer: 'pause' | 'resume' | 'abort' | 'skip';
    }
  | { readonly kind: 'start-rollout'; readonly job?: string }
  | {
      readonly kind: 'restore';
      readonly run: Run;
      /** What of it; absent: everything. */
      readonly part?: RunPart | undefined;
    }
  | {
      readonly kind: 'restore-incident' | 'close-incident' | 'include-run';
      readonly incident: Output<'getIncident'>;
    }
  | { readonly kind: 'open-incident' }
  | { readonly kind: 'flag'; readonly flag: Output<'listFlags'>['items'][number]; readonly to: FlagTarget }
  | { readonly kind: 'test-notification'; readonly receiver?: string }
  | { readonly kind: 'retry-notification'; readonly id: string; readonly title: string }
  | { readonly kind: 'palette' }
  | { readonly kind: 'keys' };

export const dialog = signal<OpenDialog | null>(null);

export const closeDialog = (): void => void (dialog.value = null);
