import { z } from 'zod';
import { isSame } from '../flags/policy-diff.js';
import {
  applyPolicies,
  diffPolicies,
  listPolicies,
  policiesRevision,
  policyMissing,
} from '../flags/policy-store.js';
import { parsePolicies, type PolicyFile } from '../flags/policy.js';
import { pageOfList } from '../postgres/page.js';
import { kindsOfJobs } from '../worker/registry.js';
import type { OperationContext } from './context.js';
import { operation } from './operation.js';
import { named, pageSchema, text, isoTime, word } from '../kernel/schema.js';
import { namePath, pageQuery } from './schemas.js';

const Policy = named(
  'Policy',
  z.strictObject({
    job: z.string(),
    schedule: z.string().nullable().describe('cron, in UTC; null where the policy is malformed'),
    regions: z.array(z.string()).readonly(),
    appliedBy: z.string(),
    appliedAt: isoTime,
    malformed: z.string().nullable().describe('what is wrong with it; such a job is closed everywhere'),
    source: z.string().describe('the file as it was applied, YAML'),
  }),
);
const PolicyPage = pageSchema('PolicyPage', Policy);

const PolicyFiles = named(
  'PolicyFiles',
  z.strictObject({
    files: z
      .array(
        z.strictObject({
          file: text(z.string().min(1).max(500)).describe('its name, for messages'),
          text: text(z.string().max(1_048_576)).describe('YAML, as docs/reference/policy.md describes it'),
        }),
      )
      .min(1)
      .max(1000),
  }),
);

const PoliciesToApply = named(
  'PoliciesToApply',
  PolicyFiles.extend({
    ifRevision: word
      .optional()
      .describe('refuse if other policies are in force than those that diffPolicies compared with'),
  }),
);

const changed = z.array(
  z.strictObject({
    job: z.string(),
    file: z.string(),
    change: z.enum(['new', 'changed', 'same']),
    fields: z
      .array(
        z.strictObject({
          path: z.string().describe('such as `apply.batch`'),
          before: z.unknown().optional().describe('absent where the field is new'),
          after: z.unknown().optional().describe('absent where the field goes'),
        }),
      )
      .readonly(),
    flags: z
      .array(z.strictObject({ region: z.string(), change: z.enum(['create', 'close']) }))
      .readonly()
      .describe('flags that are created, switched off; and flags of regions no longer in the policy'),
  }),
);
const PolicyDiffs = named(
  'PolicyDiffs',
  z.strictObject({
    same: z.boolean().describe('whether applying changes nothing'),
    revision: z.string().describe('of the policies in force; see ifRevision of applyPolicies'),
    policies: changed,
  }),
);
const PoliciesApplied = named(
  'PoliciesApplied',
  z.strictObject({ changed: z.boolean().describe('false: all was in force already'), policies: changed }),
);

const BODY_BYTES = 5 * 1024 * 1024;
const example = {
  files: [
    {
      file: 'dormant-cleanup.yaml',
      text: "job: dormant-cleanup\nschedule: '0 3 * * *'\nregions: [eu-west-1]\n",
    },
  ],
};

/** The policies in force, and the files that replace them. */
export const policyOperations = {
  listPolicies: operation({
    at: 'GET /api/v1/policies',
    example: {},
    summary: 'The policies in force, by job',
    action: 'read',
    query: z.strictObject({ ...pageQuery }),
    result: PolicyPage,
    run: async ({ control }, page) => pageOfList(await listPolicies(control), page, ({ job }) => [job]),
  }),
  getPolicy: operation({
    at: 'GET /api/v1/policies/:job',
    example: { job: 'dormant-cleanup' },
    summary: 'The policy of a job as it is in force, with its file',
    action: 'read',
    params: z.strictObject({ job: namePath }),
    result: Policy,
    errors: ['POLICY_MISSING'],
    run: async ({ control }, { job }) => {
      const policies = await listPolicies(control);
      const found = policies.find((each) => each.job === job);
      if (found) return found;
      throw policyMissing(
        job,
        policies.map((each) => each.job),
      );
    },
  }),
  diffPolicies: operation({
    at: 'POST /api/v1/policies/diff',
    kind: 'read',
    example,
    summary: 'Shows what applying policy files would change; writes nothing',
    action: 'read',
    body: PolicyFiles,
    bodyBytes: BODY_BYTES,
    result: PolicyDiffs,
    errors: ['POLICY_INVALID'],
    run: async (context, { files }) => {
      // Before what is compared: what is applied in between makes it stale.
      const revision = await policiesRevision(context.control);
      const policies = await diffPolicies(context.control, parsed(context, files));
      return { same: policies.every(isSame), revision, policies };
    },
  }),
  applyPolicies: operation({
    at: 'POST /api/v1/policies',
    example,
    summary: 'Puts policy files in force, all or none; jobs without a file keep their policy',
    action: 'apply-policy',
    body: PoliciesToApply,
    bodyBytes: BODY_BYTES,
    oneCommit: true,
    result: PoliciesApplied,
    errors: ['POLICY_INVALID', 'REVISION_STALE'],
    run: async (context, { files, ifRevision }, caller) => {
      const policies = await applyPolicies(context.control, parsed(context, files), caller.name, ifRevision);
      return { changed: !policies.every(isSame), policies };
    },
  }),
};

function parsed(
  { installed }: OperationContext,
  files: readonly { readonly file: string; readonly text: string }[],
): PolicyFile[] {
  return parsePolicies(files, kindsOfJobs(installed()));
}
