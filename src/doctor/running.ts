import { formatDurationMs } from '../kernel/duration.js';
import { flagName } from '../flags/definition.js';
import type { SourceView } from '../flags/flag-desk.js';
import { flagsAt, sourceAdvice } from '../flags/flags-elsewhere.js';
import { loadPolicies } from '../flags/policy-store.js';
import type { Policy } from '../flags/policy.js';
import type { GateView } from '../gate/browse-gates.js';
import { queryRegions } from '../regions/query-regions.js';
import { listGatesOf } from '../regions/browse.js';
import { countOf, time } from '../kernel/words.js';
import { unreachableFindings, type Check, type Found, type Hearing, type Patient } from './patient.js';

/** Answers that say nothing about the flag, only that it could not be heard. */
const SILENT = new Set(['flag-stale', 'flag-unreachable', 'flag-unauthorised', 'flag-malformed']);

export const flags: Check<Patient & Hearing> = {
  name: 'flags',
  examine: async ({ control, flags: heard, flagSource, source }) => {
    const at = flagsAt(flagSource);
    const names = (await policiesOf(control)).flatMap(({ job, regions }) =>
      regions.map((region) => flagName(job, region)),
    );
    const answers = names.map((name) => ({ name, answer: heard.look(name) }));
    const wrong = answers.flatMap(({ name, answer }): Found[] => {
      if (answer.open) return [];
      if (SILENT.has(answer.code)) {
        return [{ mark: 'fail', found: `${name}: ${answer.reason}`, hint: hintOf(answer.code, at) }];
      }
      return answer.code === 'flag-unknown'
        ? [{ mark: 'warn', found: `${name}: ${answer.reason}`, hint: hintOf(answer.code, at) }]
        : [];
    });
    const open = answers.filter(({ answer }) => answer.open).length;
    const fresh: Found = {
      mark: 'ok',
      found: `${countOf(names.length, 'flag')} up to date${heardText(source, at)}: ${open} open, ${names.length - open} closed`,
    };
    return wrong.length === 0 ? [fresh] : onceEach(wrong);
  },
};

function hintOf(code: string, at: string | undefined): string {
  if (code === 'flag-unknown')
    return at === undefined ? 'create it: portcullis flags apply' : `create it in Unleash at ${at}`;
  // One malformed flag reads as the whole source's being so; the reason says which it is.
  if (code === 'flag-malformed')
    return at === undefined ? 'set it again: portcullis flags set' : `correct it in Unleash at ${at}`;
  return sourceAdvice(code, at);
}

function heardText({ ageMs }: SourceView, at: string | undefined): string {
  if (at === undefined || ageMs === null) return '';
  return `, last heard ${formatDurationMs(ageMs)} ago from Unleash at ${at}`;
}

/** What is wrong with the source is said once, not once for each flag. */
function onceEach(findings: readonly Found[]): Found[] {
  const reasonOf = ({ found }: Found): string => found.slice(found.indexOf(': ') + 2);
  const reasons = new Map<string, Found[]>();
  for (const each of findings) reasons.set(reasonOf(each), [...(reasons.get(reasonOf(each)) ?? []), each]);
  return [...reasons].flatMap(([reason, [first, ...others]]) => {
    if (first === undefined || others.length === 0) return first ?? [];
    return [{ ...first, found: `${countOf(others.length + 1, 'flag')}: ${reason}` }];
  });
}

export const permits: Check<Patient> = {
  name: 'permits',
  examine: async (patient) => {
    const policies = await policiesOf(patient.control);
    const governed = new Set(
      policies.flatMap(({ job, regions }) => regions.map((region) => flagName(job, region))),
    );
    const { items, unreachable } = await listGatesOf(patient.regionDatabases, {}, { limit: 200 });
    const gates = items.filter(({ job, region }) => governed.has(flagName(job, region)));
    return [...permitFindings(gates), ...unreachableFindings(patient, unreachable)];
  },
};

export function permitFindings(gates: readonly GateView[]): Found[] {
  const lapsed = gates.filter(({ state, permits: open }) => state === 'open' && !open);
  if (lapsed.length > 0) {
    const regions = lapsed.map(({ job, region }) => flagName(job, region)).join(', ');
    return [
      {
        mark: 'warn',
        found: `permit expired, and so closed though the flag may be on: ${regions}`,
        hint: 'no worker serves these: portcullis start, or portcullis worker --regions …',
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

interface RunUnderWay {
  readonly id: string;
  readonly job: string;
  readonly region: string;
  readonly worker: string;
  readonly lease_until: Date | null;
  readonly gone: boolean;
}

const UNDER_WAY = `
  select id, job, region, worker, nullif(lease_until, '-infinity') as lease_until,
         lease_until < clock_timestamp() as gone
  from portcullis_region.run
  where status in ('planning', 'applying')
  order by lease_until
  limit 20`;

export const runs: Check<Patient> = {
  name: 'runs',
  examine: async (patient) => {
    const { answers, unreachable } = await queryRegions(patient.regionDatabases, async ({ worker }) => {
      const underWay = await worker.query<RunUnderWay>(UNDER_WAY);
      return underWay.rows;
    });
    const rows = answers.flatMap(({ answer }) => answer);
    const away = unreachableFindings(patient, unreachable);
    const stuck = rows.filter(({ gone }) => gone);
    if (stuck.length === 0)
      return [{ mark: 'ok', found: `${countOf(rows.length, 'run')} under way, none left behind` }, ...away];
    const behind = stuck.map(({ id, job, region, worker, lease_until: until }): Found => ({
      mark: 'warn',
      found: `run ${id.slice(0, 8)} of ${job} in ${region} was left behind by ${worker}${until ? ` at ${time(until)}` : ''}`,
      hint: `a worker of that region finishes it: portcullis worker --regions ${region}`,
    }));
    return [...behind, ...away];
  },
};

async function policiesOf(control: Patient['control']): Promise<Policy[]> {
  return (await loadPolicies(control)).flatMap((loaded) => (loaded.ok ? [loaded.policy] : []));
}
