import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { readYamlFile } from '../kernel/yaml-file.js';
import { PEOPLE_ROLES, type PersonRole } from './roles.js';

/** What somebody may do, because of a group or of what a workflow's token says. */
export interface GroupRole {
  readonly group: string;
  readonly role: PersonRole;
  readonly regions: readonly string[] | null;
}

/** The identity provider that people sign in by. */
export interface SignInSettings {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly clientAuth: 'post' | 'basic';
  /** What the button of the console calls it. */
  readonly label: string;
  readonly scope: string;
  readonly nameClaim: string;
  readonly groupsClaim: string;
  /** The first whose group somebody is in decides. */
  readonly groups: readonly GroupRole[];
}

/** Whose workflows are given a token for theirs. */
export interface WorkflowTrust {
  readonly name: string;
  readonly issuer: string;
  readonly audience: string;
  /** What their token must say: each claim is one of these. */
  readonly claims: Readonly<Record<string, readonly string[]>>;
  /** The claim that says whose workflow it is, by an id that is never given again. */
  readonly actor: string;
  readonly minutes: number;
}

export interface IdentitySettings {
  readonly workflows: readonly WorkflowTrust[];
  readonly signIn: SignInSettings | undefined;
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** Whether what is sent there is encrypted, or leaves no machine. */
export function isPrivateUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname));
}

const text = z
  .string({ error: ({ input }) => (input === undefined ? 'is missing' : 'must be text') })
  .trim()
  .min(1, 'must not be empty')
  .max(500);
const regions = z
  .array(z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'must be a region such as eu-west-1'))
  .min(1, 'must name a region; leave it out for all of them')
  .nullable()
  .default(null);
const issuer = text.refine(
  isPrivateUrl,
  'must be an https URL; http is for an identity provider on this machine alone',
);

const groupRole = z.strictObject({
  group: text,
  role: z.enum(PEOPLE_ROLES, `must be one of ${PEOPLE_ROLES.join(', ')}`),
  regions,
});

/** One of these says whose repository it is; any other claim could be true of everybody's at that issuer. */
const PINNING = ['sub', 'repository', 'repository_id', 'project_path', 'project_id'];

const workflows = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,30}$/, 'must be up to 31 small letters, digits and hyphens'),
    issuer,
    audience: text,
    claims: z
      .record(
        text,
        z
          .union([text, z.array(text).min(1)], 'must be text, or a list of texts')
          .transform((one) => [one].flat()),
      )
      .refine(
        (claims) => PINNING.some((claim) => claim in claims),
        `must have one of ${PINNING.join(', ')}: the issuer serves other people too`,
      ),
    actor: text.optional(),
    minutes: z.number().int().min(5, 'must be 5 to 60').max(60, 'must be 5 to 60').default(15),
  })
  .transform(({ actor, ...trust }) => ({
    ...trust,
    actor:
      actor ??
      (Object.keys(trust.claims).some((claim) => claim.startsWith('project')) ? 'user_id' : 'actor_id'),
  }));

const identityFile = z.strictObject({
  workflows: z
    .array(workflows)
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'has a name twice')
    .default([]),
  signIn: z
    .strictObject({
      issuer,
      clientId: text,
      clientAuth: z.enum(['post', 'basic'], 'must be post or basic').default('post'),
      label: text.max(60).default('your identity provider'),
      scope: text.regex(/(^| )openid( |$)/, 'must contain openid').default('openid profile email groups'),
      nameClaim: text.default('preferred_username'),
      groupsClaim: text.default('groups'),
      groups: z
        .array(groupRole)
        .min(1, 'must name a group: nobody could sign in')
        .refine(
          (all) => new Set(all.map(({ group }) => group)).size === all.length,
          'names a group twice; the first would decide',
        ),
    })
    .optional(),
});

/** What the file does not say: the secret is no part of it, and links lead to the public address. */
export interface Beside {
  readonly clientSecret: string | undefined;
  readonly publicUrl: string | undefined;
}

/**
 * Reads the file that PORTCULLIS_IDENTITY names: who signs in by which provider. Throws CONFIG_INVALID with all its faults
 * at once, those of the variables that belong to it among them.
 */
export function readIdentityFile(file: string | undefined, beside: Beside): IdentitySettings {
  const faults: string[] = [];
  const { given, read } =
    file === undefined
      ? { given: {}, read: identityFile.parse({}) }
      : readYamlFile(file, identityFile, faults);
  const signIn = typeof given === 'object' && given !== null && 'signIn' in given;
  const { clientSecret, publicUrl } = beside;
  if (signIn && clientSecret === undefined)
    faults.push('PORTCULLIS_OIDC_CLIENT_SECRET is needed where the identity file has signIn');
  if (!signIn && clientSecret !== undefined)
    faults.push(
      'PORTCULLIS_OIDC_CLIENT_SECRET is given, and no identity file (PORTCULLIS_IDENTITY) has signIn',
    );
  if (signIn && publicUrl !== undefined && !isPrivateUrl(publicUrl))
    faults.push('PORTCULLIS_PUBLIC_URL must be an https URL where people sign in');
  if (faults.length > 0 || read === undefined) {
    throw new PortcullisError('CONFIG_INVALID', faults.join('\n'), {
      hint: 'correct the file and the variables; docs/guide/sign-in.md has an example',
      details: { faults },
    });
  }
  return {
    workflows: read.workflows,
    signIn: read.signIn && { ...read.signIn, clientSecret: clientSecret ?? '' },
  };
}
