import { EventEmitter } from 'node:events';
import { type Unleash, type UnleashConfig, UnleashEvents } from 'unleash-client';
import type { FlagDefinition, MalformedFlag } from './definition.js';

export type UnleashRepository = NonNullable<UnleashConfig['repository']>;
/** A flag as unleash-client evaluates it. */
export type Feature = NonNullable<ReturnType<Unleash['getFeatureToggleDefinition']>>;
type EnhancedFeature = ReturnType<UnleashRepository['getTogglesWithSegmentData']>[number];
export type Segment = NonNullable<ReturnType<UnleashRepository['getSegment']>>;

/** A flag, twice: as it is evaluated and as it is understood. */
export interface SourcedFlag {
  readonly name: string;
  /** Absent where the flag is malformed: then it is evaluated as one that is not there. */
  readonly feature?: Feature;
  /** Absent for features that are no flag of a job. */
  readonly found?: FlagDefinition | MalformedFlag;
}

/** What a source last said, whole: unleash-client evaluates from it, and the provider looks flags up in it. */
export class FlagRepository extends EventEmitter implements UnleashRepository {
  #flags: ReadonlyMap<string, SourcedFlag> = new Map();
  #segments: ReadonlyMap<number, Segment> = new Map();
  #revision: number | undefined;

  /** Puts new content in the old one's place, at once. Answers the names of the flags that differ. */
  replace(
    flags: readonly SourcedFlag[],
    revision: number | undefined,
    segments: readonly Segment[] = [],
  ): string[] {
    const before = this.#flags;
    this.#flags = new Map(flags.map((flag) => [flag.name, flag]));
    this.#segments = new Map(segments.map((segment) => [segment.id, segment]));
    this.#revision = revision;
    return [...new Set([...before.keys(), ...this.#flags.keys()])].filter(
      (name) => JSON.stringify(before.get(name)?.found) !== JSON.stringify(this.#flags.get(name)?.found),
    );
  }

  find(name: string): FlagDefinition | MalformedFlag | undefined {
    return this.#flags.get(name)?.found;
  }

  /** Every flag of a job, by name. */
  all(): (FlagDefinition | MalformedFlag)[] {
    return [...this.#flags.values()].flatMap(({ found }) => found ?? []);
  }

  /** The revision of the content as a whole; undefined while nothing was heard. */
  get revision(): number | undefined {
    return this.#revision;
  }

  getToggle(name: string): Feature | undefined {
    return this.#flags.get(name)?.feature;
  }

  getToggles(): Feature[] {
    return [...this.#flags.values()].flatMap(({ feature }) => feature ?? []);
  }

  getTogglesWithSegmentData(): EnhancedFeature[] {
    return this.getToggles().map(({ strategies, ...feature }) => ({
      ...feature,
      ...(strategies && {
        strategies: strategies.map(({ segments, ...strategy }) => ({
          ...strategy,
          ...(segments && { segments: segments.map((id) => this.getSegment(id)) }),
        })),
      }),
    }));
  }

  getSegment(id: number): Segment | undefined {
    return this.#segments.get(id);
  }

  /** Content comes from the source; there is nothing to start. unleash-client only waits to be told it may answer. */
  start(): Promise<void> {
    this.emit(UnleashEvents.Ready);
    return Promise.resolve();
  }

  stop(): void {
    this.removeAllListeners();
  }
}
