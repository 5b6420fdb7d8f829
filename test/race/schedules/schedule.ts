/** The principals of a schedule; who may do what is src/access/roles.ts's. */
export type Name = 'ann' | 'bob' | 'cat' | 'dan' | 'eve';

/** A version's share of a flag, in thousandths, candidate first; empty: the flag is off. */
export type Shares = readonly (readonly [version: number, permille: number])[];

/** How many fault points a worker passes before it pauses at the next; 'all': it does not pause. */
export type Points = number | 'all';

export type Kill = { readonly region: number } | { readonly version: number } | 'all';

/** One thing that happens. Regions, workers, versions and slots are numbers; one without an object does nothing. */
export type Step =
  /** The flag changes; the workers named hear of it and carry it to the gate. */
  | {
      readonly do: 'flag';
      readonly region: number;
      readonly shares: Shares;
      readonly heardBy: readonly number[];
    }
  /** A worker hears what the flag is now. */
  | { readonly do: 'hear'; readonly worker: number; readonly region: number }
  /** A worker's flags go silent. */
  | { readonly do: 'stale'; readonly worker: number; readonly region: number }
  /** A worker carries what it has heard last, however old, to the gate. */
  | { readonly do: 'reconcile'; readonly worker: number; readonly region: number }
  | {
      readonly do: 'run' | 'catch-up';
      readonly worker: number;
      readonly region: number;
      readonly version: number;
      readonly slot: number;
      readonly points: Points;
    }
  | { readonly do: 'proceed'; readonly worker: number; readonly points: Points }
  | { readonly do: 'crash'; readonly worker: number }
  | { readonly do: 'leases end' }
  | { readonly do: 'take over'; readonly worker: number; readonly points: Points }
  /**
   * Impatient: batches in flight are ended at once, as those of a paused process are after the grace; and whoever killed
   * dies before the kill is on record.
   */
  | { readonly do: 'kill'; readonly what: Kill; readonly by: Name; readonly impatient: boolean }
  | { readonly do: 'ask re-arm'; readonly region: number; readonly by: Name }
  | { readonly do: 'ask lift'; readonly version: number; readonly by: Name }
  /** The newest request but `back`. */
  | { readonly do: 'decide'; readonly back: number; readonly by: Name; readonly approve: boolean }
  | { readonly do: 'permit lapses'; readonly region: number }
  | {
      readonly do: 'edit';
      readonly region: number;
      readonly organisation: number | 'all';
      readonly edit: Edit;
    }
  /** A worker's process dies, and another starts in its place, which finds these policy files. */
  | { readonly do: 'restart'; readonly worker: number; readonly files: Files }
  /** Alertmanager sends an alert, for the first time or again: the firing that began as the `firing`th. */
  | {
      readonly do: 'alert';
      readonly region: number;
      readonly alert: number;
      readonly firing: number;
      readonly status: 'firing' | 'resolved';
    }
  /** From one moment on, the stage's region database is another timeline. */
  | { readonly do: 'fail over' }
  /** A person confirms the database that it is now. */
  | { readonly do: 'confirm database'; readonly by: Name }
  /** Takes the newest run but `back` back. */
  | { readonly do: 'restore'; readonly worker: number; readonly back: number; readonly points: Points };

/** How the files that a start finds stand to the policy in force: its own, another, one without its regions, faulty. */
export type Files = 'same' | 'changed' | 'moved' | 'faulty';

export type Edit = 'release' | 'exclude' | 'rename' | 'backdate' | 'rename one';

export interface Schedule {
  readonly seed: number;
  readonly regions: number;
  readonly lanes: number;
  readonly batch: number;
  /** At most so many claims in a run; undefined: no cap. */
  readonly cap: number | undefined;
  readonly steps: readonly Step[];
}

export const WORKERS = 2;
export const VERSIONS = 2;
export const ORGANISATIONS = 4;
export const ACCOUNTS_EACH = 3;
/** The first of them names no version; the second blames the first version. */
export const ALERTS = 2;
export const FIRINGS = 2;

/** A schedule as one reads it: a line for each step. */
export function told({ steps, ...setting }: Schedule): string {
  const lines = steps.map((step, at) => `  ${at + 1}. ${JSON.stringify(step)}`);
  return [JSON.stringify(setting), ...lines].join('\n');
}
