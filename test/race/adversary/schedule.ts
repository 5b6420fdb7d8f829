/** A human being; who holds which token is known to the test, and never to the product. */
export type Human = 'ann' | 'bob' | 'eve';

/** A share of a flag, in thousandths, in the order of their buckets. Version 0 was admitted first, at the beginning. */
export type Shares = readonly (readonly [version: number, permille: number])[];

/** How many fault points a run passes before it pauses at the next; 'all': it does not pause. */
export type Points = number | 'all';

/** Whose name a person or a token is given that the adversary makes: a new one, or one that is taken already. */
export type Alias = 'mallory' | 'mara' | 'ann' | 'bob' | 'eve';

/** What a policy file changes of the one that was put in force first. */
export type Files = 'same' | 'no approvals' | 'one step' | 'one region';

/** `by`: which of her tokens, counted on from the first. `of`: which of the requests that wait, the newest first. */
export type Step =
  /** Ann and Bob, who mean well. */
  | { readonly do: 'ann starts'; readonly version: number }
  | { readonly do: 'ann asks'; readonly region: number; readonly permille: number }
  | { readonly do: 'ann gives'; readonly region: number; readonly permille: number }
  | { readonly do: 'ann aborts' }
  | { readonly do: 'ann revokes' }
  | { readonly do: 'bob decides' }
  | { readonly do: 'bob kills'; readonly version: number }
  /** What comes by itself. */
  | { readonly do: 'look' }
  | { readonly do: 'break-glass expires' }
  | { readonly do: 'an hour passes' }
  | { readonly do: 'region grows'; readonly region: number }
  /** A region hears the flags, and carries them to its gate. */
  | { readonly do: 'carry'; readonly region: number }
  | {
      readonly do: 'run';
      readonly version: number;
      readonly region: number;
      readonly points: Points;
      readonly trigger: 'manual' | 'schedule';
    }
  | { readonly do: 'proceed'; readonly points: Points }
  /** Somebody keeps a copy of flags and admissions, and puts it back later. */
  | { readonly do: 'back up' }
  | { readonly do: 'restore backup' }
  /** Eve, who wants a version to write that nobody has admitted. */
  | { readonly do: 'set'; readonly by: number; readonly region: number; readonly shares: Shares }
  | { readonly do: 'revert'; readonly by: number; readonly region: number; readonly back: number }
  | { readonly do: 'start'; readonly by: number; readonly version: number }
  | { readonly do: 'steer'; readonly by: number; readonly how: 'resume' | 'pause' | 'abort' }
  | { readonly do: 'promote'; readonly by: number }
  | { readonly do: 'admit initially'; readonly by: number; readonly version: number; readonly region: number }
  | {
      readonly do: 'ask';
      readonly by: number;
      readonly version: number;
      readonly region: number;
      readonly permille: number;
    }
  | { readonly do: 'approve'; readonly by: number; readonly of: number }
  | { readonly do: 'approve wave'; readonly by: number }
  | { readonly do: 'alone'; readonly by: number; readonly of: number }
  | { readonly do: 'lift'; readonly by: number; readonly version: number }
  | { readonly do: 'apply'; readonly by: number; readonly files: Files }
  | {
      readonly do: 'issue';
      readonly by: number;
      readonly role: 'operator' | 'approver' | 'admin';
      readonly owner: Alias | 'machine';
      readonly replace: boolean;
    }
  | {
      readonly do: 'add person';
      readonly by: number;
      readonly name: Alias;
      readonly role: 'operator' | 'approver' | 'admin';
      readonly replace: boolean;
    }
  | { readonly do: 'redeem' }
  | { readonly do: 'remove'; readonly by: number; readonly name: 'ann' | 'bob' }
  | { readonly do: 'revoke token'; readonly by: number; readonly name: 'ann' | 'bob' }
  /** Two things at once. */
  | { readonly do: 'both'; readonly steps: readonly [Step, Step] };

export interface Schedule {
  readonly seed: number;
  /** Whether one of Eve's tokens is an admin's. */
  readonly admin: boolean;
  readonly steps: readonly Step[];
}

export const REGIONS = 2;
/** The first is admitted; the second is what Ann and Bob roll out; nobody but Eve wants the third. */
export const VERSIONS = 3;
export const UNITS = 16;

/** A schedule as one reads it: a line for each step. */
export function told({ steps, ...setting }: Schedule): string {
  const lines = steps.map((step, at) => `  ${at + 1}. ${JSON.stringify(step)}`);
  return [JSON.stringify(setting), ...lines].join('\n');
}
