import { createHash } from 'node:crypto';
import { z } from 'zod';
import { WHOLE_PERMILLE } from '../kernel/bucketing.js';
import { type FlagDefinition, HOLD, type MalformedFlag, jobAndRegion } from './definition.js';
import type { Variant } from './variant.js';

/** What of an Unleash feature is understood here; the rest is unleash-client's and only fingerprinted. */
const variant = z.looseObject({
  name: z.string(),
  weight: z.number().min(0),
  stickiness: z.string().nullish(),
  overrides: z.array(z.unknown()).nullish(),
});
const strategy = z.looseObject({
  name: z.string(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  constraints: z.array(z.unknown()).nullish(),
  segments: z.array(z.unknown()).nullish(),
  variants: z.array(variant).nullish(),
});
const feature = z.looseObject({
  name: z.string(),
  enabled: z.boolean(),
  strategies: z.array(strategy),
  variants: z.array(variant).nullish(),
  dependencies: z.array(z.looseObject({ feature: z.string() })).nullish(),
});

type UnleashFeature = z.infer<typeof feature>;
type UnleashVariant = z.infer<typeof variant>;
type UnleashStrategy = z.infer<typeof strategy>;

/**
 * Understands an Unleash feature as a job's flag. Undefined where it is none by its name. `segments` are those
 * of the whole answer: they decide too, and so belong to a rule's fingerprint.
 */
export function definitionOf(
  given: unknown,
  revision: number,
  segments: readonly unknown[] = [],
): FlagDefinition | MalformedFlag | undefined {
  const name = (given as { name?: unknown } | null)?.name;
  const names = typeof name === 'string' ? jobAndRegion(name) : undefined;
  if (typeof name !== 'string' || names === undefined) return undefined;
  const parsed = feature.safeParse(given);
  if (!parsed.success) {
    const reasons = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    return { name, malformed: reasons.join('; '), revision };
  }
  if (stickinessOf(given).includes(RANDOM)) {
    const malformed = 'it answers at random: give its strategies and variants a stickiness';
    return { name, malformed, revision };
  }
  const { enabled } = parsed.data;
  const plain = plainForm(parsed.data);
  if (plain === undefined) {
    const rule = fingerprint([parsed.data, segments]);
    const variants = shares(allVariants(parsed.data)).map((share) => ({ ...share, rule }));
    return { name, ...names, enabled, variants, revision, bucketing: 'evaluate' };
  }
  const { group } = plain;
  const variants = shares(plain.variants);
  if (group === name) return { name, ...names, enabled, variants, revision };
  const rule = fingerprint(group);
  return {
    name,
    ...names,
    enabled,
    variants: variants.map((share) => ({ ...share, rule })),
    revision,
    bucketing: { group },
  };
}

/** The group and variants that alone decide, where that is so; undefined where it takes the evaluator. */
function plainForm(given: UnleashFeature): { group: string; variants: UnleashVariant[] } | undefined {
  if (given.dependencies?.length) return undefined;
  const [first] = given.strategies;
  if (first !== undefined && !isForEveryone(first)) return undefined;
  if (first?.variants?.length) {
    const groupId = first.parameters?.['groupId'];
    const plain = typeof groupId === 'string' && arePlain(first.variants, strategyStickiness(first));
    return plain ? { group: groupId, variants: first.variants } : undefined;
  }
  const variants = given.variants ?? [];
  if (variants.length === 0) return { group: given.name, variants: [] };
  return arePlain(variants, variants[0]?.stickiness ?? undefined)
    ? { group: given.name, variants }
    : undefined;
}

/** Unleash takes the first strategy that says yes; one that always does leaves the rest unread. */
function isForEveryone(given: UnleashStrategy): boolean {
  if (given.constraints?.length || given.segments?.length) return false;
  if (given.name === 'default') return true;
  return (
    given.name === 'flexibleRollout' &&
    Number(given.parameters?.['rollout']) === 100 &&
    isByUnit(rolloutStickiness(given))
  );
}

function arePlain(variants: readonly UnleashVariant[], stickiness: unknown): boolean {
  return (
    isByUnit(stickiness) &&
    variants.every(({ weight, overrides }) => Number.isInteger(weight) && !overrides?.length) &&
    variants.reduce((sum, { weight }) => sum + weight, 0) === WHOLE_PERMILLE
  );
}

/** Whether a unit's own key is what sticks. As in unleash-client, null and '' are not the default. */
function isByUnit(stickiness: unknown): boolean {
  return stickiness === undefined || stickiness === 'default' || stickiness === 'userId';
}

function rolloutStickiness({ parameters }: UnleashStrategy): unknown {
  const own = parameters?.['stickiness'];
  return own === '' || own === null ? undefined : own;
}

function strategyStickiness({ parameters, variants }: UnleashStrategy): unknown {
  const own = variants?.[0]?.stickiness;
  return own === '' || own == null ? parameters?.['stickiness'] : own;
}

function allVariants(given: UnleashFeature): UnleashVariant[] {
  const own = given.strategies.flatMap(({ variants }) => variants ?? []);
  return own.length > 0 ? own : (given.variants ?? []);
}

/**
 * The versions' shares, in order. What is held must come last to be left out, so a hold in between stays in
 * as a version that no job has.
 */
function shares(variants: readonly UnleashVariant[]): Variant[] {
  const whole = variants.reduce((sum, { weight }) => sum + weight, 0);
  const weighty = variants.filter(({ weight }) => weight > 0);
  while (weighty.at(-1)?.name === HOLD) weighty.pop();
  return weighty.map(({ name, weight }) => ({
    version: name,
    permille: Math.max(1, Math.round((weight * WHOLE_PERMILLE) / whole)),
  }));
}

function fingerprint(of: unknown): string {
  return createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 16);
}

/**
 * Which fields of the context, besides the unit's own key, a feature's answer sticks to. Where the context
 * lacks one of them, unleash-client rolls dice; `random` is a field that no context has.
 */
export function stickinessOf(given: unknown): string[] {
  const parsed = feature.safeParse(given);
  if (!parsed.success) return [];
  const { strategies, variants } = parsed.data;
  const all = strategies.flatMap((each) => [
    BUILT_IN_STICKINESS[each.name],
    each.name === 'flexibleRollout' ? rolloutStickiness(each) : undefined,
    each.variants?.length ? strategyStickiness(each) : undefined,
  ]);
  if (variants?.length) all.push(variants[0]?.stickiness ?? undefined);
  const others = all.filter((field) => !isByUnit(field));
  return [...new Set(others.map((field) => (typeof field === 'string' && field !== '' ? field : RANDOM)))];
}

const RANDOM = 'random';

/** Unleash's older strategies, which have theirs built in. */
const BUILT_IN_STICKINESS: Readonly<Record<string, string>> = {
  gradualRolloutRandom: RANDOM,
  gradualRolloutSessionId: 'sessionId',
};
