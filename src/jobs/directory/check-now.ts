import type pg from 'pg';
import { z } from 'zod';
import { recordAudit } from '../../audit/record.js';
import { PortcullisError } from '../../kernel/errors.js';
import type { JobAct } from '../../operations/job-files.js';
import { queryRegions } from '../../regions/query-regions.js';
import { parseDomainName } from '../domain-claim/domain-name.js';
import { domainClaim } from '../domain-claim/job.js';
import { howToAllow, whyNot } from './notes.js';

const dueNow = z.strictObject({
  id: z.string(),
  organisation: z.string(),
  state: z.string(),
  region: z.string(),
});

/** A domain that the next run of its region checks. */
export type DueNow = z.infer<typeof dueNow>;

/**
 * Makes a domain due, in the states that the job checks. A run that has it in its plan already finds it changed and
 * leaves it as a conflict; the next one checks it.
 */
export async function checkNow(owner: pg.Pool, name: string, region: string | undefined): Promise<DueNow[]> {
  const { rows: there } = await owner.query<{ there: boolean }>(
    `select to_regclass('directory.domain') is not null as there`,
  );
  if (there[0]?.there !== true) return [];
  const { rows } = await owner.query<DueNow>(
    `update directory.domain set next_check_at = clock_timestamp()
     where name = $1 and state in ('PENDING', 'VERIFIED', 'AT_RISK') and ($2::text is null or home_region = $2)
     returning id, organisation_id as organisation, state, home_region as region`,
    [name, region ?? null],
  );
  return rows;
}

const input = z.strictObject({ domain: z.string().min(1).max(1_000) });
const answer = z.strictObject({
  domain: z.string(),
  due: z.array(dueNow),
  /** Region databases that could not be asked. */
  unreachable: z.array(z.string()),
});

/** "Check now": the command does it on the database, and an operation over HTTP. */
export const domainCheck: JobAct<typeof input, typeof answer> = {
  job: domainClaim.name,
  name: 'check',
  input,
  answer,
  run: async ({ control, regionDatabases, region, caller }, { domain }) => {
    const name = checkableName(domain);
    // Before the act, which is in other databases.
    await recordAudit(control, {
      principal: caller.name,
      action: 'check-domain',
      subject: name,
      evidence: { region: region ?? null },
    });
    const only = region === undefined ? undefined : regionDatabases.of(region);
    const { answers, unreachable } =
      only === undefined
        ? await queryRegions(regionDatabases, ({ owner }) => checkNow(owner, name, region))
        : { answers: [{ answer: await checkNow(only.owner, name, region) }], unreachable: [] };
    const due = answers.flatMap((each) => each.answer);
    const away = unreachable.map(({ database }) => database);
    if (due.length > 0) return { domain: name, due, unreachable: away };
    throw new PortcullisError(
      'NOTHING_REACHED',
      `no domain ${name} is PENDING, VERIFIED or AT_RISK ${away.length === 0 ? 'here' : `where that could be asked, without ${away.join(', ')}`}`,
      {
        hint: 'see what became of it: portcullis asof domain ID; from any other state it takes a new request',
        details: { domain: name, region: region ?? null, unreachable: away },
      },
    );
  },
};

function checkableName(text: string): string {
  const parsed = parseDomainName(text);
  if (parsed.ok) return parsed.name;
  throw new PortcullisError(
    'REQUEST_INVALID',
    `${JSON.stringify(text)} can never be verified: ${whyNot(parsed)}`,
    { hint: howToAllow(parsed) ?? 'name a domain as the directory has it, such as acme.com' },
  );
}
