import {
  ErrorCode,
  type EvaluationContext,
  type JsonValue,
  OpenFeatureEventEmitter,
  type Provider,
  ProviderEvents,
  type ResolutionDetails,
  StandardResolutionReasons,
  TypeMismatchError,
} from '@openfeature/server-sdk';
import { Unleash } from 'unleash-client';
import { formatDurationMs } from '../kernel/duration.js';
import { messageOf } from '../kernel/errors.js';
import { beyondText, inForce, isWithin, type RegionAdmission, withinLimit } from './admission.js';
import { type AdmittedUnits, unitsByBucket } from './admitted-units.js';
import { type ClosedCode, type FlagAnswer, type FlagDefinition, HOLD, jobAndRegion } from './definition.js';
import type { FlagSource } from './source.js';
import { stickinessOf } from './unleash-definition.js';

export interface PortcullisProviderOptions {
  /** A flag last heard of longer ago than this is closed; for every job, or by job. Default 60 s. */
  readonly maxAgeMs?: number | ((job: string) => number);
}

const DEFAULT_MAX_AGE_MS = 60_000;

/**
 * The OpenFeature provider: a flag `job.region` answers the version that may act for the unit in
 * `targetingKey`, or `hold` with the reason. unleash-client evaluates; what it evaluates comes from the source.
 */
export class PortcullisProvider implements Provider {
  readonly runsOn = 'server';
  readonly metadata = { name: 'portcullis' };
  readonly events = new OpenFeatureEventEmitter();
  readonly #source: FlagSource;
  readonly #maxAgeMs: (job: string) => number;
  readonly #evaluator: Unleash;
  readonly #unsubscribe: () => void;
  /** What is in force of the definitions that were asked about, and the admission that holds them down to it. */
  readonly #held = new WeakMap<
    FlagDefinition,
    { readonly admission: RegionAdmission; readonly inForce: FlagDefinition }
  >();
  #troubled = false;

  constructor(source: FlagSource, { maxAgeMs = DEFAULT_MAX_AGE_MS }: PortcullisProviderOptions = {}) {
    this.#source = source;
    this.#maxAgeMs = typeof maxAgeMs === 'number' ? () => maxAgeMs : maxAgeMs;
    this.#evaluator = new Unleash({
      appName: 'portcullis',
      // Asked for, and never called: the repository is ours and metrics are off.
      url: 'http://unleash.invalid/',
      repository: source.repository,
      disableMetrics: true,
      disableAutoStart: true,
      skipInstanceCountWarning: true,
    });
    // An error while evaluating closes the one question; unleash-client would print it.
    this.#evaluator.on('error', () => undefined);
    this.#unsubscribe = source.onChange((flagsChanged) => this.#announce(flagsChanged));
  }

  /** Starts the source. Never fails for a source that is away: its flags are closed until it is heard. */
  async initialize(): Promise<void> {
    await this.#evaluator.start();
    await this.#source.start();
  }

  async onClose(): Promise<void> {
    this.#unsubscribe();
    await this.#source.stop();
    this.#evaluator.destroy();
  }

  /**
   * What of a flag is in force now, from memory: what its source says, held down to what each version is admitted to.
   * Every source passes here, and nothing else answers a gate.
   */
  look(flagName: string): FlagAnswer {
    const names = jobAndRegion(flagName);
    if (names === undefined) {
      return { open: false, code: 'flag-unknown', reason: `${flagName} is not of the form job.region` };
    }
    const silent = this.#silence(names.job);
    if (silent !== undefined) return silent;
    const ageMs = this.#source.state().heardAgeMs;
    const found = this.#source.repository.find(flagName);
    const { revisions } = this.#source.admissions.of(names.job, names.region);
    const closed = (code: ClosedCode, reason: string, revision?: number) =>
      ({
        ...({ open: false, code, reason, ageMs } as const),
        ...(revision !== undefined && { revision }),
        ...(revisions !== undefined && { admissionRevisions: revisions }),
      }) as const;
    if (found === undefined) {
      const { revision } = this.#source.repository;
      return closed('flag-unknown', `there is no flag ${flagName}`, revision);
    }
    if ('malformed' in found) {
      return closed('flag-malformed', `${flagName} is malformed: ${found.malformed}`, found.revision);
    }
    if (!found.enabled) return closed('flag-off', `${flagName} is off`, found.revision);
    if (found.variants.length === 0) {
      return closed('flag-held', `${flagName} is on, but no version has a share`, found.revision);
    }
    const definition = this.#inForce(found);
    if (definition.variants.length > 0) return { open: true, definition, ageMs };
    const { beyond = [], revision: admissionRevision = 0 } = definition.admission ?? {};
    const reason = `${flagName} is on, but ${beyond.map(beyondText).join('; ')}`;
    return { ...closed('version-not-admitted', reason, found.revision), admissionRevision };
  }

  /**
   * The units of a region that a definition gives to a version, of all that the region has. Where shares alone decide,
   * the same as asking `getStringDetails` for each one, at a fraction of the cost. Where the evaluator does, the
   * version gets as many units as it is admitted to; who asks for one unit alone is answered without knowing how many
   * there are, and so never more.
   */
  admit(definition: FlagDefinition, version: string, units: Iterable<string>): AdmittedUnits {
    if (definition.bucketing !== 'evaluate') return unitsByBucket(definition, version, units);
    if (!definition.enabled) return new Set();
    const given: string[] = [];
    let all = 0;
    for (const unit of units) {
      all += 1;
      if (this.#evaluate(definition, { targetingKey: unit }).value === version) given.push(unit);
    }
    return withinLimit(definition, version, given, all);
  }

  resolveStringEvaluation(
    flagKey: string,
    defaultValue: string,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<string>> {
    const answer = this.look(flagKey);
    const { errorCode, ...details } = answer.open
      ? {
          ...this.#ask(answer.definition, context),
          flagMetadata: { code: 'flag-open', revision: answer.definition.revision, ageMs: answer.ageMs },
        }
      : heldBy(answer);
    // OpenFeature answers the caller's default where there is an errorCode: only `hold` may take that way.
    return Promise.resolve(
      errorCode !== undefined && defaultValue === HOLD ? { ...details, errorCode } : details,
    );
  }

  /** {@link resolveStringEvaluation} of one unit, whose answer is `hold` wherever it is no version. */
  evaluateUnit(flagName: string, unit: string): Promise<ResolutionDetails<string>> {
    return this.resolveStringEvaluation(flagName, HOLD, { targetingKey: unit });
  }

  resolveBooleanEvaluation(flagKey: string): Promise<ResolutionDetails<boolean>> {
    return Promise.reject(notText(flagKey));
  }

  resolveNumberEvaluation(flagKey: string): Promise<ResolutionDetails<number>> {
    return Promise.reject(notText(flagKey));
  }

  resolveObjectEvaluation<T extends JsonValue>(flagKey: string): Promise<ResolutionDetails<T>> {
    return Promise.reject(notText(flagKey));
  }

  /** Worked out once for a definition and an admission: each unit that is asked about comes this way. */
  #inForce(definition: FlagDefinition): FlagDefinition {
    const admission = this.#source.admissions.of(definition.job, definition.region);
    const known = this.#held.get(definition);
    if (known?.admission === admission) return known.inForce;
    const held = { admission, inForce: inForce(definition, admission) };
    this.#held.set(definition, held);
    return held.inForce;
  }

  /** Why nothing that the source said may be relied on; undefined where it may. */
  #silence(job: string): FlagAnswer | undefined {
    const { heardAgeMs, problem } = this.#source.state();
    const everHeard = Number.isFinite(heardAgeMs);
    const closed = (code: ClosedCode, reason: string): FlagAnswer => ({
      open: false,
      code,
      reason,
      ...(everHeard && { ageMs: heardAgeMs }),
    });
    if (problem !== undefined && problem.code !== 'flag-unreachable')
      return closed(problem.code, problem.reason);
    if (!everHeard) return closed('flag-unreachable', problem?.reason ?? 'no flags received yet');
    const maxAgeMs = this.#maxAgeMs(job);
    if (heardAgeMs <= maxAgeMs) return undefined;
    const since = `last heard ${formatDurationMs(heardAgeMs)} ago, over the limit of ${formatDurationMs(maxAgeMs)}`;
    return closed('flag-stale', problem === undefined ? since : `${since}; ${problem.reason}`);
  }

  /** One unit's answer. */
  #ask(definition: FlagDefinition, context: EvaluationContext): ResolutionDetails<string> {
    const answer = this.#evaluate(definition, context);
    const within = answer.value === HOLD || isWithin(definition, answer.value, String(context.targetingKey));
    return within ? answer : { value: HOLD, variant: HOLD, reason: StandardResolutionReasons.SPLIT };
  }

  /** What the evaluator says of one unit, whoever is admitted. */
  #evaluate(definition: FlagDefinition, context: EvaluationContext): ResolutionDetails<string> {
    const { targetingKey, ...attributes } = context;
    if (typeof targetingKey !== 'string' || targetingKey === '') {
      return held(ErrorCode.TARGETING_KEY_MISSING, 'the unit is asked for as targetingKey');
    }
    const { name, job, region } = definition;
    const asked = { ...contextOf(attributes), job, region, targetingKey, userId: targetingKey };
    if (definition.bucketing === 'evaluate') {
      const missing = this.#stickiness(name).find((field) => !hasText(asked, field));
      if (missing !== undefined) {
        return held(ErrorCode.INVALID_CONTEXT, `${name} sticks to ${missing}, which the context lacks`);
      }
    }
    try {
      const variant = this.#evaluator.getVariant(name, asked);
      const reason = StandardResolutionReasons.SPLIT;
      if (!variant.enabled || variant.name === HOLD) return { value: HOLD, variant: HOLD, reason };
      return { value: variant.name, variant: variant.name, reason };
    } catch (error) {
      return held(ErrorCode.PARSE_ERROR, `${name} cannot be evaluated: ${messageOf(error)}`);
    }
  }

  /** The fields that a flag and the flags that it depends on stick to. */
  #stickiness(name: string): string[] {
    const feature = this.#source.repository.getToggle(name);
    const parents = feature?.dependencies?.map((parent) => this.#source.repository.getToggle(parent.feature));
    return [feature, ...(parents ?? [])].flatMap((each) => stickinessOf(each));
  }

  #announce(flagsChanged: readonly string[]): void {
    if (flagsChanged.length > 0) {
      this.events.emit(ProviderEvents.ConfigurationChanged, { flagsChanged: [...flagsChanged] });
    }
    const { problem } = this.#source.state();
    if ((problem !== undefined) === this.#troubled) return;
    this.#troubled = problem !== undefined;
    if (problem === undefined) this.events.emit(ProviderEvents.Ready);
    else this.events.emit(ProviderEvents.Stale, { message: problem.reason });
  }
}

const ERROR_CODES: Readonly<Record<ClosedCode, ErrorCode | undefined>> = {
  'flag-off': undefined,
  'flag-held': undefined,
  'version-not-admitted': undefined,
  'flag-unknown': ErrorCode.FLAG_NOT_FOUND,
  'flag-malformed': ErrorCode.PARSE_ERROR,
  'flag-stale': ErrorCode.GENERAL,
  'flag-unauthorised': ErrorCode.GENERAL,
  'flag-unreachable': ErrorCode.GENERAL,
};

function heldBy(answer: Extract<FlagAnswer, { open: false }>): ResolutionDetails<string> {
  const { code, reason, revision, ageMs } = answer;
  const errorCode = ERROR_CODES[code];
  const flagMetadata = {
    code,
    message: reason,
    ...(revision !== undefined && { revision }),
    ...(ageMs !== undefined && { ageMs }),
  };
  if (errorCode !== undefined) return { ...held(errorCode, reason), flagMetadata };
  return { value: HOLD, variant: HOLD, reason: StandardResolutionReasons.DISABLED, flagMetadata };
}

function held(errorCode: ErrorCode, errorMessage: string): ResolutionDetails<string> {
  return { value: HOLD, reason: StandardResolutionReasons.ERROR, errorCode, errorMessage };
}

function notText(flagKey: string): Error {
  return new TypeMismatchError(`${flagKey} answers a version or hold: ask for a string`);
}

type UnleashContext = NonNullable<Parameters<Unleash['getVariant']>[1]>;

/** The parts of a context that Unleash's constraints can read. */
function contextOf(attributes: Omit<EvaluationContext, 'targetingKey'>): UnleashContext {
  const readable = Object.entries(attributes).flatMap(([key, value]): [string, string | number | Date][] => {
    if (typeof value === 'boolean') return [[key, String(value)]];
    return typeof value === 'string' || typeof value === 'number' || value instanceof Date
      ? [[key, value]]
      : [];
  });
  return Object.fromEntries(readable);
}

function hasText(context: UnleashContext, field: string): boolean {
  const value = context[field];
  return value !== undefined && value !== '';
}
