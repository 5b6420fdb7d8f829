import type { JobCommand } from '../../sdk/index.js';
import { howToAllow, parseDomainName, whyNot } from './domain-name.js';

/**
 * "Check now": makes a domain due, in the states that the job checks. A run that has it in its plan already finds it
 * changed and leaves it as a conflict; the next one checks it.
 */
export const checkNow: JobCommand = {
  summary:
    'The next run of its region checks a domain that is PENDING, VERIFIED or AT_RISK, whenever its next check would be due.',
  takes: { domain: 'a domain as the directory has it, such as acme.com' },
  refuses: ({ domain = '' }) => {
    const parsed = parseDomainName(domain);
    if (parsed.ok) return undefined;
    const why = `${JSON.stringify(domain)} can never be verified: ${whyNot(parsed)}`;
    return { why, hint: howToAllow(parsed) ?? 'name a domain as the directory has it, such as acme.com' };
  },
  run: async ({ sql, regions }, { domain = '' }) => {
    const parsed = parseDomainName(domain);
    const [there] = await sql<{
      there: boolean;
    }>`select to_regclass('directory.domain') is not null as there`;
    if (!parsed.ok || there?.there !== true) return [];
    return sql<Record<'domain' | 'organisation' | 'state' | 'region', string>>`
      update directory.domain set next_check_at = clock_timestamp()
      where name = ${parsed.name} and state in ('PENDING', 'VERIFIED', 'AT_RISK') and home_region = any(${regions})
      returning id, name as domain, organisation_id as organisation, state, home_region as region`;
  },
};
