import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { readIdentityFile } from '../../../src/access/identity-file.js';
import { temporaryFolder } from '../../support/portcullis.js';

const SECRET = 'a secret that is long enough';

async function read(text: string, clientSecret: string | undefined = SECRET, publicUrl?: string) {
  const file = join(await temporaryFolder(), 'identity.yaml');
  await writeFile(file, text);
  return readIdentityFile(file, { clientSecret: clientSecret || undefined, publicUrl });
}

/** The faults without the folder in front. */
async function faultsOf(...given: Parameters<typeof read>): Promise<string[]> {
  try {
    await read(...given);
  } catch (error) {
    const { details } = error as { details: { faults: string[] } };
    return details.faults.map((fault) => fault.replace(/^.*identity\.yaml: /, ''));
  }
  return [];
}

const GOOD = `
signIn:
  issuer: https://id.example.com
  clientId: portcullis
  groups:
    - { group: sre, role: approver }
    - { group: release, role: operator, regions: [eu-west-1] }
`;

describe('the identity file', () => {
  test('says who signs in by which provider, and what their groups may do', async () => {
    expect((await read(GOOD, SECRET, 'https://gates.example')).signIn).toEqual({
      ...{
        issuer: 'https://id.example.com',
        clientId: 'portcullis',
        clientSecret: SECRET,
        clientAuth: 'post',
      },
      ...{ label: 'your identity provider', scope: 'openid profile email groups' },
      ...{ nameClaim: 'preferred_username', groupsClaim: 'groups' },
      groups: [
        { group: 'sre', role: 'approver', regions: null },
        { group: 'release', role: 'operator', regions: ['eu-west-1'] },
      ],
    });
  });

  test('without one, nobody signs in by a provider', () => {
    expect(readIdentityFile(undefined, { clientSecret: undefined, publicUrl: undefined })).toMatchObject({
      signIn: undefined,
    });
  });

  test('is refused with all its faults, and those of the variables beside it', async () => {
    const text = `
signIn:
  issuer: http://id.example.com
  client: portcullis
  groups:
    - { group: sre, role: root, regions: [] }
    - { group: sre, role: viewer, regions: [EU] }
`;
    expect(await faultsOf(text, '', 'http://gates.example')).toEqual([
      'signIn.issuer: must be an https URL; http is for an identity provider on this machine alone',
      'signIn.clientId: is missing',
      'signIn.groups[1].role: must be one of viewer, operator, approver, admin',
      'signIn.groups[1].regions: must name a region; leave it out for all of them',
      'signIn.groups[2].regions[1]: must be a region such as eu-west-1',
      'signIn: Unrecognized key: "client"',
      'PORTCULLIS_OIDC_CLIENT_SECRET is needed where the identity file has signIn',
      'PORTCULLIS_PUBLIC_URL must be an https URL where people sign in',
    ]);
  });

  test.each([
    ['no YAML', 'signIn: [', /^is not YAML: /],
    ['a group twice', GOOD.replace('release', 'sre'), /names a group twice/],
    ['no groups', GOOD.replace(/groups:[^]*/, 'groups: []'), /must name a group/],
    ['no openid', `${GOOD}  scope: profile\n`, /must contain openid/],
  ])('with %s is refused', async (_, text, fault) => {
    const faults = await faultsOf(text);
    expect(faults.some((each) => fault.test(each))).toBe(true);
  });

  test('needs the secret, and the secret needs it', async () => {
    const file = join(await temporaryFolder(), 'identity.yaml');
    await writeFile(file, GOOD);
    const secretless = { clientSecret: undefined, publicUrl: undefined };
    expect(() => readIdentityFile(file, secretless)).toThrow('PORTCULLIS_OIDC_CLIENT_SECRET is needed');
    expect(() => readIdentityFile(undefined, { ...secretless, clientSecret: SECRET })).toThrow(
      'PORTCULLIS_OIDC_CLIENT_SECRET is given',
    );
    expect(() => readIdentityFile('/nowhere/identity.yaml', secretless)).toThrow('ENOENT');
  });
});

describe('the workflows of the identity file', () => {
  const WORKFLOW = `
workflows:
  - name: release
    issuer: https://token.actions.githubusercontent.com
    audience: https://gates.example
    claims: { repository: acme/gates, ref: [refs/heads/main, refs/heads/release] }
`;

  test('are trusted for 15 minutes by their claims, and are their actor’s', async () => {
    expect((await read(WORKFLOW, '')).workflows).toEqual([
      {
        ...{ name: 'release', issuer: 'https://token.actions.githubusercontent.com' },
        ...{ audience: 'https://gates.example', actor: 'actor_id', minutes: 15 },
        claims: { repository: ['acme/gates'], ref: ['refs/heads/main', 'refs/heads/release'] },
      },
    ]);
    const gitlab = WORKFLOW.replace('repository', 'project_path');
    expect((await read(gitlab, '')).workflows[0]?.actor).toBe('user_id');
  });

  test.each([
    [
      'claims that anybody could have',
      WORKFLOW.replace('repository: acme/gates, ', ''),
      /must have one of sub/,
    ],
    ['a day', `${WORKFLOW}    minutes: 1440\n`, /minutes: must be 5 to 60/],
    ['a name twice', WORKFLOW + WORKFLOW.replace('\nworkflows:', ''), /has a name twice/],
  ])('are refused with %s', async (_, text, fault) => {
    expect((await faultsOf(text, '')).some((each) => fault.test(each))).toBe(true);
  });
});
