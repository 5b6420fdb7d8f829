import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { PortcullisError } from '../../../src/kernel/errors.js';
import { parsePolicy, readPolicies } from '../../../src/flags/policy.js';
import type { PolicyFault } from '../../../src/flags/policy-faults.js';

const LEAST = `job: domain-claim
schedule: '*/15 * * * *'
regions: [eu-west-1]
`;

const withRules = (...rules: readonly string[]): string =>
  `${LEAST}guard:\n  rules:\n${rules.map((rule) => `    - ${rule}\n`).join('')}`;

function faultsOf(work: () => unknown): PolicyFault[] {
  try {
    work();
  } catch (error) {
    if (error instanceof PortcullisError) return error.details['faults'] as PolicyFault[];
    throw error;
  }
  return [];
}

describe('a rule of each kind', () => {
  test('is read with its units and defaults', () => {
    const { guard } = parsePolicy(
      `${LEAST}guard:
  onTrip: { restore: auto }
  prometheus: [{ url: http://prometheus:9090, regions: [eu-west-1] }, { url: https://other }]
  rules:
    - { kind: invariant, name: asked-for, timeout: 2s, sql: "select * from proposed; -- all; of them" }
    - { kind: count, name: claims-per-run, change: claim }
    - { kind: count, name: reach, change: claim, of: units, alpha: 0.000001, floor: 25 }
    - { kind: rate, name: conflicts, of: conflicts, acceptable: 0.05% }
    - { kind: outcome, name: logins, event: login-failed, tolerance: 1.1 }
    - { kind: promql, name: slow, query: 'x{job="{{job}}",v="{{ version }}"}', above: 5, for: 5m }
    - { kind: alert, name: pager, alerts: [DomainClaimSpike] }
    - { kind: absence, name: silent, of: scrape, longerThan: 45m }
`,
      'x.yaml',
    );
    expect(guard).toEqual({
      onTrip: { restore: 'auto' },
      prometheus: [{ url: 'http://prometheus:9090', regions: ['eu-west-1'] }, { url: 'https://other' }],
      caps: [],
      rules: [
        {
          kind: 'invariant',
          name: 'asked-for',
          timeoutMs: 2_000,
          sql: 'select * from proposed; -- all; of them',
        },
        { kind: 'count', name: 'claims-per-run', change: 'claim', of: 'changes', alpha: 0.00025, floor: 10 },
        { kind: 'count', name: 'reach', change: 'claim', of: 'units', alpha: 1e-6, floor: 25 },
        { kind: 'rate', name: 'conflicts', of: 'conflicts', acceptableShare: 0.0005, alpha: 0.001 },
        { kind: 'outcome', name: 'logins', event: 'login-failed', alpha: 0.01, tolerance: 1.1 },
        {
          kind: 'promql',
          name: 'slow',
          query: 'x{job="{{job}}",v="{{ version }}"}',
          above: 5,
          forMs: 300_000,
        },
        { kind: 'alert', name: 'pager', alerts: ['DomainClaimSpike'] },
        { kind: 'absence', name: 'silent', of: 'scrape', longerThanMs: 2_700_000 },
      ],
    });
  });

  test.each([
    ['an unknown kind', '{ kind: invariants, name: a }', 'kind', 'did you mean invariant?'],
    ['no kind', '{ name: a }', 'kind', 'is missing'],
    ['an unknown key', '{ kind: count, name: a, change: claim, alpa: 0.1 }', 'alpa', 'did you mean alpha?'],
    [
      'the key of another kind',
      '{ kind: alert, name: a, sql: select 1 }',
      'sql',
      'there are kind, name, alerts',
    ],
    ['a bold alpha', '{ kind: count, name: a, change: claim, alpha: 0.5 }', 'alpha', 'must be at most 0.1'],
    ['a floor of none', '{ kind: count, name: a, change: claim, floor: 0 }', 'floor', 'must be at least 1'],
    [
      'a count of something else',
      '{ kind: count, name: a, change: claim, of: unit }',
      'of',
      'did you mean units?',
    ],
    [
      'a rate of something else',
      '{ kind: rate, name: a, of: conflict, acceptable: 1% }',
      'of',
      'did you mean conflicts?',
    ],
    [
      'too much that is acceptable',
      '{ kind: rate, name: a, of: errors, acceptable: 51% }',
      'acceptable',
      'from 0% to 50%',
    ],
    [
      'a tolerance of less',
      '{ kind: outcome, name: a, event: e, tolerance: 0.5 }',
      'tolerance',
      'at least 1',
    ],
    [
      'both sides',
      '{ kind: promql, name: a, query: up, above: 1, below: 2 }',
      '',
      'needs either above or below',
    ],
    [
      'an unknown word',
      "{ kind: promql, name: a, query: '{{jobb}}', above: 1 }",
      'query',
      'has {{jobb}}; there are {{job}}',
    ],
    [
      'a short silence',
      '{ kind: absence, name: a, of: run, longerThan: 5s }',
      'longerThan',
      'from 1 min to 30 d',
    ],
    ['a long time limit', '{ kind: invariant, name: a, timeout: 2m, sql: select 1 }', 'timeout', 'to 1 min'],
    [
      'two statements',
      "{ kind: invariant, name: a, sql: 'select 1; select 2' }",
      'sql',
      'more than one statement',
    ],
    ['a write', "{ kind: invariant, name: a, sql: 'delete from proposed' }", 'sql', 'must begin with select'],
    ['a comment alone', "{ kind: invariant, name: a, sql: '-- select 1' }", 'sql', 'is empty'],
    ['no alert', '{ kind: alert, name: a, alerts: [] }', 'alerts', 'must be at least 1 long'],
  ])('that has %s is refused with its line', (_, rule, field, message) => {
    const faults = faultsOf(() => parsePolicy(withRules('{ kind: alert, name: fine }', rule), 'x.yaml'));
    const path = field === '' ? 'guard.rules[1]' : `guard.rules[1].${field}`;
    expect(faults).toMatchObject([{ line: 7, path, message: expect.stringContaining(message) as unknown }]);
  });

  test.each(['ftp://prometheus', 'prometheus:9090', 'no url'])('asks no Prometheus at %s', (url) => {
    const faults = faultsOf(() =>
      parsePolicy(`${LEAST}guard: { prometheus: [{ url: '${url}' }] }\n`, 'x.yaml'),
    );
    expect(faults).toMatchObject([{ line: 4, path: 'guard.prometheus[0].url' }]);
  });

  test('has a name of its own', () => {
    const twice = withRules(
      '{ kind: alert, name: a }',
      '{ kind: absence, name: a, of: run, longerThan: 1h }',
    );
    expect(faultsOf(() => parsePolicy(twice, 'x.yaml'))).toMatchObject([
      { line: 5, path: 'guard.rules', message: 'has two rules of one name' },
    ]);
  });
});

describe('semicolons in literals, names and comments', () => {
  test.each(["'a;b'", "E'it\\';s'", '"a;b"', '$$a;b$$', '$q$ $$;$$ $q$', '/* ; */ 1', '1 -- ;'])(
    'separate no statements: %s',
    (text) => {
      const rule = JSON.stringify({ kind: 'invariant', name: 'a', sql: `select ${text}` });
      expect(faultsOf(() => parsePolicy(withRules(rule), 'x.yaml'))).toEqual([]);
    },
  );
});

describe('kinds of change that a job does not have', () => {
  test('are refused where the job is known, and believed where it is not', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'policies-'));
    await writeFile(
      join(folder, 'a.yaml'),
      `${LEAST}guard:
  caps:
    - { kind: claim, perRun: 5 }
    - { kind: verfy, perRun: 5 }
  rules:
    - { kind: count, name: x, change: everything }
`,
    );
    expect(await readPolicies(folder)).toHaveLength(1);
    const refused = await readPolicies(folder, new Map([['domain-claim', ['claim', 'verify']]])).catch(
      (error: unknown) => (error as PortcullisError).details['faults'],
    );
    expect(refused).toMatchObject([
      { line: 7, path: 'guard.caps[1].kind', nearest: 'verify' },
      {
        line: 9,
        path: 'guard.rules[0].change',
        message: expect.stringContaining('there are claim, verify') as unknown,
      },
    ]);
  });
});
