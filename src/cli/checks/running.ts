import { flagName } from '../../flags/definition.js';
import { loadPolicies } from '../../flags/policy-store.js';
import type { Policy } from '../../flags/policy.js';
import { listGates, type GateView } from '../../gate/browse-gates.js';
import { countOf, time } from '../wording.js';
import type { Check, Finding, Patient } from './check.js';

type Found = Omit<Finding, 'check'>;

/** Answers that say nothing about the flag, only that it could not be heard. */
const SILENT = new Set(['flag-stale', 'flag-unreachable', 'flag-unauthorised', 'flag-malformed']);

export const flags: Check<Patient> = {
  name: 'flags',
  examine: async ({ installation, platform }) => {
    const names = (await policiesOf(installation)).flatMap(({ job, regions }) =>
      regions.map((region) => flagName(job, region)),
    );
    const answers = names.map((name) => ({ name, answer: platform.flags.look(name) }));
    const wrong = answers.flatMap(({ name, answer }): Found[] => {
      if (answer.open) return [];
      if (SILENT.has(answer.code)) {
        return [{ mark: 'fail', found: `${name}: ${answer.reason}`, mend: mendOf(answer.code) }];
      }
      return answer.code === 'flag-unknown'
        ? [{ mark: 'warn', found: `${name}: ${answer.reason}`, mend: 'portcullis flags apply makes it' }]
        : [];
    });
    const open = answers.filter(({ answer }) => answer.open).length;
    const fresh: Found = {
      mark: 'ok',
      found: `${countOf(names.length, 'flag')} heard afresh: ${open} open, ${names.length - open} closed`,
    };
    return wrong.length === 0 ? [fresh] : wrong;
  },
};

function mendOf(code: string): string {
  if (code === 'flag-unauthorised') return 'give Portcullis a token or login that the flag source accepts';
  if (code === 'flag-malformed') return 'set it anew: portcullis flags set';
  return 'check that the flag source runs and can be reached from here';
}

export const permits: Check<Patient> = {
  name: 'permits',
  examine: async ({ installation }) => {
    const policies = await policiesOf(installation);
    const governed = new Set(
      policies.flatMap(({ job, regions }) => regions.map((region) => flagName(job, region))),
    );
    const { items } = await listGates(installation.region, {}, { limit: 200 });
    const gates = items.filter(({ job, region }) => governed.has(flagName(job, region)));
    return permitFindings(gates);
  },
};

export function permitFindings(gates: readonly GateView[]): Found[] {
  const lapsed = gates.filter(({ state, permits: open }) => state === 'open' && !open);
  if (lapsed.length > 0) {
    const regions = lapsed.map(({ job, region }) => flagName(job, region)).join(', ');
    return [
      {
        mark: 'warn',
        found: `lapsed, and so closed though the flag may be on: ${regions}`,
        mend: 'nobody serves these: portcullis start, or portcullis worker --regions …',
      },
    ];
  }
  const open = gates.filter(({ state }) => state === 'open').length;
  return [
    {
      mark: 'ok',
      found: `${countOf(open, 'gate')} open with a permit that is renewed, ${gates.length - open} closed`,
    },
  ];
}

export const runs: Check<Patient> = {
  name: 'runs',
  examine: async ({ installation }) => {
    const { rows } = await installation.region.query<{
      id: string;
      job: string;
      region: string;
      worker: string;
      lease_until: Date | null;
      gone: boolean;
    }>(
      `select id, job, region, worker, nullif(lease_until, '-infinity') as lease_until,
              lease_until < clock_timestamp() as gone
       from portcullis_region.run
       where status in ('planning', 'applying')
       order by lease_until
       limit 20`,
    );
    const stuck = rows.filter(({ gone }) => gone);
    if (stuck.length === 0)
      return [{ mark: 'ok', found: `${countOf(rows.length, 'run')} under way, none left behind` }];
    return stuck.map(({ id, job, region, worker, lease_until: until }) => ({
      mark: 'warn',
      found: `run ${id.slice(0, 8)} of ${job} in ${region} was left behind by ${worker}${until ? ` at ${time(until)}` : ''}`,
      mend: `a worker of that region finishes it: portcullis worker --regions ${region}`,
    }));
  },
};

async function policiesOf({ control }: Patient['installation']): Promise<Policy[]> {
  return (await loadPolicies(control)).flatMap((loaded) => (loaded.ok ? [loaded.policy] : []));
}
