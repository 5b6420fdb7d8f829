import { describe, expect, test } from '@jest/globals';
import { parsePolicyFile } from '../../../src/flags/policy.js';
import { diffPolicy } from '../../../src/flags/policy-diff.js';

const file = (more = '', regions = 'eu-west-1, us-east-1') =>
  parsePolicyFile(`job: domain-claim\nschedule: '0 * * * *'\nregions: [${regions}]\n${more}`, 'flags/x.yaml');

describe('what applying a policy would do', () => {
  test('for a new job: every field, and every flag is created', () => {
    const diff = diffPolicy(file(), { document: undefined, flags: [] });
    expect(diff).toMatchObject({
      job: 'domain-claim',
      file: 'flags/x.yaml',
      change: 'new',
      flags: [
        { region: 'eu-west-1', change: 'create' },
        { region: 'us-east-1', change: 'create' },
      ],
    });
    expect(diff.fields).toContainEqual({ path: 'flag.maxAge', after: '60s' });
  });

  test('for the same again: nothing', () => {
    const flags = [
      { region: 'eu-west-1', enabled: true },
      { region: 'us-east-1', enabled: false },
    ];
    const diff = diffPolicy(file('permit: 30s\n'), { document: file().document, flags });
    expect(diff).toMatchObject({ change: 'same', fields: [], flags: [] });
  });

  test('field by field, with caps by their kind', () => {
    const before = file('guard: { caps: [{ kind: claim, perRun: 10 }, { kind: note, perRun: 1 }] }\n');
    const after = file(
      'guard: { caps: [{ kind: claim, perRun: 20, perUnit: 5 }] }\nlease: 10s\n',
      'eu-west-1',
    );
    const { fields, change } = diffPolicy(after, { document: before.document, flags: [] });
    expect(change).toBe('changed');
    expect(fields).toEqual([
      { path: 'regions', before: ['eu-west-1', 'us-east-1'], after: ['eu-west-1'] },
      { path: 'lease', before: '20s', after: '10s' },
      { path: 'guard.caps.claim.perRun', before: 10, after: 20 },
      { path: 'guard.caps.note.perRun', before: 1 },
      { path: 'guard.caps.claim.perUnit', after: 5 },
    ]);
  });

  test('and with rules by their name', () => {
    const before = file('guard: { rules: [{ kind: count, name: claims, change: claim }] }\n');
    const after = file(
      'guard: { rules: [{ kind: alert, name: pager }, { kind: count, name: claims, change: claim, alpha: 0.001 }] }\n',
    );
    expect(diffPolicy(after, { document: before.document, flags: [] }).fields).toEqual([
      { path: 'guard.rules.claims.alpha', before: 0.00025, after: 0.001 },
      { path: 'guard.rules.pager.kind', after: 'alert' },
    ]);
  });

  test('a list of regions and a map of them are the same, but for where they are', () => {
    const placed = parsePolicyFile(
      `job: domain-claim\nschedule: '0 * * * *'\nregions: { eu-west-1: {}, us-east-1: { database: PORTCULLIS_DATABASE_URL_US } }\n`,
      'flags/x.yaml',
    );
    expect(diffPolicy(placed, { document: file().document, flags: [] }).fields).toEqual([
      { path: 'regions.us-east-1.database', after: 'PORTCULLIS_DATABASE_URL_US' },
    ]);
  });

  test('a region that vanished is closed where it is on, and left where it is off already', () => {
    const flags = [
      { region: 'eu-west-1', enabled: true },
      { region: 'us-east-1', enabled: true },
      { region: 'mars-1', enabled: false },
    ];
    const diff = diffPolicy(file('', 'eu-west-1'), { document: file().document, flags });
    expect(diff.flags).toEqual([{ region: 'us-east-1', change: 'close' }]);
  });
});
