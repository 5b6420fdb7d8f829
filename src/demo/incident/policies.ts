import { readFile } from 'node:fs/promises';
import { parseDocument, type Document, isMap, isScalar, isSeq } from 'yaml';
import { parsePolicyFile, type PolicyFile } from '../../flags/policy.js';

/** Both from `src/` and from `dist/` the policies stand at the same place. */
const SHIPPED = new URL('../../../flags/domain-claim.yaml', import.meta.url);

/** Which of the guard's layers a world has. */
export type Layer = 'as shipped' | 'without invariants' | 'login failures only';

/**
 * The shipped policy of domain-claim, for these regions, with these layers of its guard, and without the hours and
 * days on which nobody is promoted: a replay at night must come to the same as one at noon.
 */
export async function policyWith(layer: Layer, regions: readonly string[]): Promise<PolicyFile> {
  const document = parseDocument(await readFile(SHIPPED, 'utf8'));
  document.set('regions', [...regions]);
  keepWaves(document, regions);
  if (layer !== 'as shipped') keepRules(document, (kind) => kind !== 'invariant');
  if (layer === 'login failures only') {
    keepRules(document, (kind) => kind === 'outcome');
    document.setIn(['guard', 'caps'], []);
  }
  return parsePolicyFile(document.toString(), `flags/domain-claim.yaml, ${layer}`);
}

function keepWaves(document: Document, regions: readonly string[]): void {
  const waves = document.getIn(['rollout', 'waves']);
  if (!isSeq(waves)) return;
  waves.items = waves.items.filter((wave) => {
    const own = isMap(wave) ? wave.get('regions') : undefined;
    if (!isSeq(own)) return true;
    own.items = own.items.filter((region) => isScalar(region) && regions.includes(String(region.value)));
    return own.items.length > 0;
  });
  document.deleteIn(['rollout', 'windows']);
  document.deleteIn(['rollout', 'freezes']);
}

function keepRules(document: Document, keep: (kind: unknown) => boolean): void {
  const rules = document.getIn(['guard', 'rules']);
  if (!isSeq(rules)) return;
  rules.items = rules.items.filter((rule) => isMap(rule) && keep(rule.get('kind')));
}
