import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Config } from '../config.js';
import { sampledDomainClaim } from '../demo/sample-world.js';
import { readHostName } from '../jobs/domain-claim/domain-name.js';
import { overrideProviders, type ProviderOverrides } from '../jobs/domain-claim/providers.js';
import { PortcullisError } from '../kernel/errors.js';
import { readYamlFile } from '../kernel/yaml-file.js';
import { digestOf } from '../worker/job-digest.js';
import type { InstalledJob } from '../worker/registry.js';

/**
 * The jobs that this program can run; `buildId` is what identifies the build, as CI says, with all of its files. Throws
 * CONFIG_INVALID for a providers file with faults.
 */
export async function installedJobs({
  buildId,
  providersFile,
}: Pick<Config, 'buildId' | 'providersFile'>): Promise<readonly InstalledJob[]> {
  const folder = new URL('../jobs/domain-claim/', import.meta.url);
  if (providersFile === undefined) return [{ definition: sampledDomainClaim, folder, build: buildId }];
  const overrides = readProviders(providersFile);
  overrideProviders(overrides);
  return [
    {
      definition: sampledDomainClaim,
      folder,
      build: buildId ?? digestWith(await digestOf(folder), overrides),
    },
  ];
}

/** Processes with other overrides decide otherwise, and so have another version. */
function digestWith(digest: string, { allow, deny }: ProviderOverrides): string {
  if (allow.length + deny.length === 0) return digest;
  const text = JSON.stringify([digest, [...allow].sort(), [...deny].sort()]);
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

const MOST_NAMES = 10_000;

const names = z
  .array(
    z.string().superRefine((text, context) => {
      const read = readHostName(text);
      if (!read.ok) context.addIssue(`${JSON.stringify(text)} is not a domain name`);
      else if (read.name !== text)
        context.addIssue(`${JSON.stringify(text)} must be written as ${read.name}`);
    }),
    { error: 'must be a list of domain names' },
  )
  .max(MOST_NAMES, `has more than ${MOST_NAMES} names`)
  .default([]);

const providersSchema = z
  .strictObject(
    { allow: names, deny: names },
    { error: 'must have allow, deny or both, each a list of names' },
  )
  .superRefine(({ allow, deny }, context) => {
    for (const name of new Set(allow.filter((each) => deny.includes(each))))
      context.addIssue(`${name} is both allowed and denied`);
  });

/** Reads a providers file. Throws CONFIG_INVALID with all faults at once. */
export function readProviders(file: string): ProviderOverrides {
  const faults: string[] = [];
  const { read } = readYamlFile(file, providersSchema, faults);
  if (read !== undefined && faults.length === 0) return read;
  throw new PortcullisError('CONFIG_INVALID', faults.join('\n'), {
    hint: 'correct the providers file; docs/reference/domain-claim.md has an example',
    details: { faults },
  });
}
