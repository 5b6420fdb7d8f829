import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { rulesOf } from '../../../src/flags/guard-policy.js';
import { parsePolicyFile } from '../../../src/flags/policy.js';

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8');

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert?: string; readonly labels?: Record<string, string> }[];
  }[];
}

test('every shipped alert that says what to kill is one that the shipped policy obeys', () => {
  const { groups } = parse(read('dashboards/prometheus/domain-claim.rules.yml')) as Rules;
  const killing = groups
    .flatMap(({ rules }) => rules)
    .filter(({ labels }) => labels?.['portcullis_job'] !== undefined)
    .map(({ alert }) => alert);
  expect(killing).not.toEqual([]);
  const parsed = parsePolicyFile(read('flags/domain-claim.yaml'), 'domain-claim.yaml');
  const obeyed = rulesOf(parsed.policy.guard.rules, 'alert').flatMap(({ alerts }) => alerts ?? []);
  expect(obeyed).toEqual(expect.arrayContaining(killing));
});
