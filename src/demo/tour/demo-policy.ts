import { isMap, isSeq, parseDocument, type Document } from 'yaml';
import { parsePolicyFile, type PolicyFile } from '../../flags/policy.js';

/** `guarded`: with every rule of the policy. `outcomes alone`: as if nobody had written down what must hold. */
export type DemoGuard = 'guarded' | 'outcomes alone';

const BAKE = { runs: 1, changes: 1, time: '1s' };

/**
 * The policy that is in force with time compressed: a bake takes one run and a second, and nothing waits for office hours.
 * Where outcomes alone are left, what they find closes the region, so that a re-arm can be shown.
 */
export function demoPolicy(source: string, guard: DemoGuard): PolicyFile {
  const document = parseDocument(source);
  document.deleteIn(['rollout', 'windows']);
  document.deleteIn(['rollout', 'freezes']);
  const waves = document.getIn(['rollout', 'waves']);
  if (isSeq(waves)) {
    for (const wave of waves.items) {
      if (!isMap(wave)) continue;
      wave.set('bake', document.createNode(BAKE));
      wave.set('steps', document.createNode(guard === 'guarded' ? ['20%', '100%'] : ['30%', '100%']));
    }
  }
  if (guard === 'outcomes alone') leaveOutcomes(document);
  return parsePolicyFile(document.toString(), `domain-claim.yaml`);
}

function leaveOutcomes(document: Document): void {
  document.setIn(['guard', 'onTrip', 'close'], 'region');
  document.setIn(['guard', 'caps'], document.createNode([]));
  const rules = document.getIn(['guard', 'rules']);
  if (isSeq(rules)) rules.items = rules.items.filter((rule) => isMap(rule) && rule.get('kind') === 'outcome');
}

/** What the demonstration changes, for people. */
export const COMPRESSED = `bakes of ${BAKE.runs} run, ${BAKE.changes} change and ${BAKE.time}; 20 %, then 100 % of each region; no windows`;
