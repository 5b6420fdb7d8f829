import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import { isSame, type PolicyDiff } from './policy-diff.js';
import { diffPolicies } from './policy-store.js';
import { type KindsOf, readPolicies } from './policy.js';

/** How the policy files of a folder differ from what is in force. */
export interface PolicyDrift {
  /** What applying each file that differs would change. */
  readonly differing: readonly PolicyDiff[];
  /** Why the files cannot be compared; null where they were. */
  readonly faults: string | null;
}

export const NO_DRIFT: PolicyDrift = { differing: [], faults: null };

/** Compares a folder's policy files with what is in force. Files with faults are part of the answer, not an error. */
export async function policyDrift(control: pg.Pool, folder: string, kindsOf: KindsOf): Promise<PolicyDrift> {
  try {
    const diffs = await diffPolicies(control, await readPolicies(folder, kindsOf));
    return { differing: diffs.filter((diff) => !isSame(diff)), faults: null };
  } catch (error) {
    if (
      error instanceof PortcullisError &&
      (error.code === 'POLICY_INVALID' || error.code === 'FILE_UNREADABLE')
    )
      return { differing: [], faults: error.message };
    throw error;
  }
}

/** One sentence for each difference, and what to do about it; none where files and policies in force agree. */
export function driftTexts({ differing, faults }: PolicyDrift): string[] {
  if (faults !== null) return [`the policy files have faults, and the policies in force stay: ${faults}`];
  return differing.map(({ job, file, change, fields }) => {
    const what =
      change === 'new'
        ? `${file} has a policy for ${job}, which has none in force`
        : `${file} differs from the policy of ${job} in force${fields.length > 0 ? ` (${fieldsText(fields.map(({ path }) => path))})` : ''}`;
    return `${what}; compare with portcullis flags diff, put it in force with portcullis flags apply`;
  });
}

const FIELDS_SHOWN = 3;

function fieldsText(paths: readonly string[]): string {
  const more = paths.length - FIELDS_SHOWN;
  return `${paths.slice(0, FIELDS_SHOWN).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
