import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PortcullisError } from '../../../src/kernel/errors.js';
import { parsePolicy, parsePolicyFile, policyOfDocument, readPolicies } from '../../../src/flags/policy.js';
import type { PolicyFault } from '../../../src/flags/policy-faults.js';

const FOLDER = new URL('../../../flags/', import.meta.url);

const LEAST = `job: domain-claim
schedule: '*/15 * * * *'
regions: [eu-west-1]
`;

/** A hundred million times `x`, in nine lines. */
function bomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let depth = 1; depth < 9; depth += 1) {
    const ten = new Array<string>(10).fill(`*a${depth - 1}`).join(', ');
    lines.push(`a${depth}: &a${depth} [${ten}]`);
  }
  return `${lines.join('\n')}\n`;
}

function refusal(work: () => unknown): PortcullisError {
  try {
    work();
  } catch (error) {
    if (error instanceof PortcullisError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

function faultsOf(text: string): PolicyFault[] {
  const error = refusal(() => parsePolicy(text, 'flags/x.yaml'));
  expect(error.code).toBe('POLICY_INVALID');
  return error.details['faults'] as PolicyFault[];
}

describe('the regions of a policy', () => {
  const regions = (text: string) => `job: domain-claim\nschedule: '0 * * * *'\nregions: ${text}\n`;

  test('are a map where some have a database of their own, named by a variable', () => {
    const policy = parsePolicy(
      regions('{ eu-west-1: {}, eu-central-1: { database: PORTCULLIS_DATABASE_URL_EU_CENTRAL } }'),
      'x.yaml',
    );
    expect(policy.regions).toEqual(['eu-west-1', 'eu-central-1']);
    expect(policy.databases).toEqual({ 'eu-central-1': 'PORTCULLIS_DATABASE_URL_EU_CENTRAL' });
  });

  test.each([
    ['{ a: { database: postgresql://u:pw@db/x } }', 'regions.a.database', 'is not the name of a variable'],
    ['{ a: { database: HOME } }', 'regions.a.database', 'is not the name of a variable'],
    ['{ a: { databse: PORTCULLIS_DATABASE_URL_A } }', 'regions.a.databse', 'did you mean database?'],
    ['{ A: {} }', 'regions.A', 'is not the name of a region'],
    ['[A]', 'regions[0]', 'is not the name of a region'],
    ['{}', 'regions', 'must name at least 1 region'],
    ['7', 'regions', 'must be a list or a map of keys, not 7'],
  ])('are at fault as %s', (text, path, message) => {
    const [fault, ...others] = faultsOf(regions(text));
    expect(others).toEqual([]);
    expect(fault).toMatchObject({ line: 3, path, message: expect.stringContaining(message) as unknown });
  });

  test('are at fault where two jobs place one in different databases', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-policies-'));
    await writeFile(join(folder, 'a.yaml'), regions('{ a: { database: PORTCULLIS_DATABASE_URL_A }, b: {} }'));
    await writeFile(
      join(folder, 'b.yaml'),
      regions('{ a: { database: PORTCULLIS_DATABASE_URL_B }, b: {} }').replace('domain-claim', 'other'),
    );
    await expect(readPolicies(folder)).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringContaining(
        'regions.a is in the database of PORTCULLIS_DATABASE_URL_B, and for domain-claim in the database of PORTCULLIS_DATABASE_URL_A',
      ) as unknown,
    });
  });
});

describe('a policy without fault', () => {
  test('gets every default, with units in the names', () => {
    expect(parsePolicy(LEAST, 'x.yaml')).toEqual({
      job: 'domain-claim',
      unit: { one: 'unit', many: 'units' },
      schedule: '*/15 * * * *',
      missedSlots: 'skip',
      onRearm: 'skip',
      regions: ['eu-west-1'],
      flag: { maxAgeMs: 60_000 },
      permitMs: 30_000,
      planMaxAgeMs: 3_600_000,
      leaseMs: 20_000,
      apply: { lanes: 4, batch: 500, firstBatches: [10, 20, 50, 100] },
      guard: { onTrip: { restore: 'propose' }, prometheus: [], caps: [], rules: [] },
    });
  });

  test('reads durations as milliseconds and shares as thousandths', () => {
    const policy = parsePolicy(
      `${LEAST}flag: { maxAge: 2m }
permit: 15s
lease: 2500ms
guard: { caps: [{ kind: claim, perRun: 0, shareOfRegion: 0.7% }, { kind: verify, perUnit: 5 }] }
`,
      'x.yaml',
    );
    expect(policy.flag.maxAgeMs).toBe(120_000);
    expect(policy.permitMs).toBe(15_000);
    expect(policy.leaseMs).toBe(2_500);
    expect(policy.guard.caps).toEqual([
      { kind: 'claim', perRun: 0, shareOfRegionPermille: 7 },
      { kind: 'verify', perUnit: 5 },
    ]);
  });

  test('every step of 0.1 % becomes exactly its thousandths', () => {
    for (let permille = 0; permille <= 1000; permille += 1) {
      const text = `${LEAST}guard: { caps: [{ kind: claim, shareOfRegion: ${permille / 10}% }] }\n`;
      expect(parsePolicy(text, 'x.yaml').guard.caps[0]?.shareOfRegionPermille).toBe(permille);
    }
  });

  test('reads the same again from its stored document', () => {
    const file = parsePolicyFile(LEAST, 'x.yaml');
    expect(policyOfDocument(JSON.parse(JSON.stringify(file.document)))).toEqual({ policy: file.policy });
  });
});

describe('a policy with faults', () => {
  test('is refused with all of them at once, each with file, line and path, and the likely key', () => {
    const text = `jobb: domain-claim
schedule: '61 25 * * *'
missedSlots: onec
regions: [eu-west-1, EU, eu-west-1]
flag: { maxage: 60s }
permit: 5
lease: 1h
apply:
  lanes: 0
  batch: 2.5
  firstBatches: [10, 5]
guard:
  caps:
    - { kind: claim, perRun: -1, shareOfRegion: 5.55% }
    - { kind: claim, perUnits: 4 }
`;
    const found = faultsOf(text).map(({ line, path, nearest }) => [line, path, nearest]);
    expect(found).toEqual([
      [1, 'job', undefined],
      [1, 'jobb', 'job'],
      [2, 'schedule', undefined],
      [2, 'schedule', undefined],
      [3, 'missedSlots', 'once'],
      [4, 'regions[1]', undefined],
      [4, 'regions', undefined],
      [5, 'flag.maxage', 'maxAge'],
      [6, 'permit', undefined],
      [7, 'lease', undefined],
      [9, 'apply.lanes', undefined],
      [10, 'apply.batch', undefined],
      [11, 'apply.firstBatches', undefined],
      [13, 'guard.caps', undefined],
      [14, 'guard.caps[0].perRun', undefined],
      [14, 'guard.caps[0].shareOfRegion', undefined],
      [15, 'guard.caps[1].perUnits', 'perUnit'],
      [15, 'guard.caps[1]', undefined],
    ]);
    const { message } = refusal(() => parsePolicy(text, 'flags/x.yaml'));
    expect(message.split('\n')).toHaveLength(found.length);
    expect(message).toContain('flags/x.yaml:5: flag.maxage is not a known key; did you mean maxAge?');
  });

  test.each([
    ['empty', '', 1, 'must be a map of keys, not empty'],
    ['a list', '- 1\n', 1, 'must be a map of keys, not [1]'],
    ['broken YAML', `${LEAST}flag: { maxAge: 60s\n`, 5, 'is not YAML'],
    ['a key twice', `${LEAST}permit: 30s\npermit: 40s\n`, 5, 'is not YAML: Map keys must be unique'],
    ['an unknown alias', `${LEAST}permit: *later\n`, 4, 'is not YAML: nothing is anchored as later'],
    ['aliases without measure', bomb(), 1, 'is not YAML: Excessive alias count'],
    ['a word for a number', `${LEAST}apply: { lanes: four }\n`, 4, 'must be a number, not "four"'],
    ['no unit', `${LEAST}permit: 30\n`, 4, 'is not a duration such as "30s"'],
    ['no region', `job: a\nschedule: '* * * * *'\nregions: []\n`, 3, 'must be at least 1 long'],
    [
      'a share over all',
      `${LEAST}guard: { caps: [{ kind: a, shareOfRegion: 101% }] }\n`,
      4,
      'from 0% to 100%',
    ],
    ['a short permit', `${LEAST}permit: 1s\n`, 4, 'must be from 5.0 s to 10 min'],
    ['a cap that limits nothing', `${LEAST}guard: { caps: [{ kind: a }] }\n`, 4, 'limits nothing'],
    [
      'a large first batch',
      `${LEAST}apply: { batch: 50 }\n`,
      4,
      'has a first batch that is larger than batch',
    ],
  ])('%s names its line and what is wrong', (_, text, line, message) => {
    const [fault, ...others] = faultsOf(text);
    expect(others).toEqual([]);
    expect(fault?.line).toBe(line);
    expect(fault?.message).toContain(message);
  });

  test('is refused and never crashes, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(refusal(() => parsePolicy(text, 'x.yaml')).code).toBe('POLICY_INVALID');
      }),
    );
  });
});

describe('a folder of policies', () => {
  test('is refused with the faults of all its files, and with a job that has two', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'policies-'));
    await writeFile(join(folder, 'a.yaml'), LEAST);
    await writeFile(join(folder, 'b.yml'), LEAST);
    await writeFile(join(folder, 'c.yaml'), `${LEAST}permitt: 30s\n`);
    await writeFile(join(folder, 'notes.txt'), 'no policy');
    const error = await readPolicies(folder).then(
      () => undefined,
      (thrown: unknown) => thrown as PortcullisError,
    );
    expect(error?.code).toBe('POLICY_INVALID');
    expect((error?.details['faults'] as PolicyFault[]).map(({ file, path }) => [file, path])).toEqual([
      [join(folder, 'c.yaml'), 'permitt'],
      [join(folder, 'b.yml'), 'job'],
    ]);
  });

  test.each([
    ['a pipe', 'it is not a regular file', (path: string) => execFileSync('mkfifo', [path])],
    ['a device', 'it is a link out of the folder', (path: string) => symlinkSync('/dev/zero', path)],
    [
      'a link out of it',
      'it is a link out of the folder',
      (path: string) => symlinkSync('/etc/hostname', path),
    ],
    ['a link up', 'it is a link out of the folder', (path: string) => symlinkSync('..', path)],
    ['a folder', 'it is not a regular file', (path: string) => mkdirSync(path)],
    ['far too large', 'it has 1048577 bytes', (path: string) => writeFileSync(path, '#'.repeat(1_048_577))],
  ])('with %s for a policy file is FILE_UNREADABLE, and named', async (_, why, make) => {
    const folder = await mkdtemp(join(tmpdir(), 'policies-'));
    await writeFile(join(folder, 'a.yaml'), LEAST);
    make(join(folder, 'b.yaml'));
    await expect(readPolicies(folder)).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining(`${join(folder, 'b.yaml')}: ${why}`) as unknown,
    });
  });

  test('may be mounted as Kubernetes does it: by links within the folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'policies-'));
    mkdirSync(join(folder, '..2026_11_26'));
    writeFileSync(join(folder, '..2026_11_26', 'a.yaml'), LEAST);
    symlinkSync('..2026_11_26', join(folder, '..data'));
    symlinkSync('..data/a.yaml', join(folder, 'a.yaml'));
    expect(await readPolicies(folder)).toHaveLength(1);
  });

  test('that is not there is FILE_UNREADABLE and named', async () => {
    await expect(readPolicies('/no/such/folder')).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('/no/such/folder') as unknown,
    });
  });
});

describe('what the repository carries', () => {
  test('flags/domain-claim.yaml is in force for six regions and caps every kind of change', async () => {
    const [file, ...others] = await readPolicies(FOLDER.pathname);
    expect(others).toEqual([]);
    expect(file?.policy.regions).toHaveLength(6);
    expect(file?.policy.guard.caps.map(({ kind }) => kind).sort()).toEqual([
      'at-risk',
      'claim',
      'confirm',
      'contest',
      'expire',
      'lapse',
      'note',
      'recover',
      'verify',
    ]);
  });
});
