import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { CLAIM_LEADS_TO, stateAfterClaim } from '../../../src/jobs/domain-claim/decide-claim.js';
import { DOMAIN_MOVES, isCheckedState } from '../../../src/jobs/domain-claim/domain-states.js';
import { domainClaim } from '../../../src/jobs/domain-claim/job.js';

const schema = readFileSync('src/jobs/domain-claim/migrations/001-directory.sql', 'utf8');

test('the states are those that the database allows', () => {
  const listed = [...schema.matchAll(/check \(state in\s*\(([^)]*)\)\)/g)].map((match) =>
    [...(match[1] ?? '').matchAll(/'(\w+)'/g)].map(([, state]) => state),
  );
  expect(listed).toEqual([Object.keys(CLAIM_LEADS_TO), Object.keys(DOMAIN_MOVES)]);
});

test('a state has moves exactly where the job checks it', () => {
  for (const [state, moves] of Object.entries(DOMAIN_MOVES)) {
    expect(Object.keys(moves).length > 0).toBe(isCheckedState(state));
  }
});

test('a domain is owned once in all databases under the condition that holds in each', () => {
  const index = /unique index domain_owner on directory\.domain \((\w+)\) where state in \(([^)]*)\)/.exec(
    schema,
  );
  const states = [...(index?.[2] ?? '').matchAll(/'(\w+)'/g)].map(([, state]) => state);
  expect(domainClaim.resources.domain.uniqueAcross).toEqual({
    regions: index?.[1],
    while: { state: states },
  });
});

test('only an unmanaged account can be claimed', () => {
  expect(Object.keys(CLAIM_LEADS_TO).filter((state) => stateAfterClaim(state) !== undefined)).toEqual([
    'UNMANAGED',
  ]);
});

test('the job declares a kind for each of its moves, and the one for accounts', () => {
  const moves = Object.values(DOMAIN_MOVES).flatMap((row) => Object.keys(row));
  expect(new Set(Object.keys(domainClaim.kinds))).toEqual(new Set([...moves, 'claim']));
});

test('the job never touches requests, tokens, consent or admins', () => {
  const changed = Object.values(domainClaim.resources).filter(({ changes }) => changes.length > 0);
  const tables = changed.map((resource) => resource.table);
  expect(tables.toSorted()).toEqual(['directory.account', 'directory.domain']);
  expect(domainClaim.resources['account'].changes).not.toContain('selected_by');
  expect(domainClaim.resources['domain'].changes).not.toContain('request_id');
});
