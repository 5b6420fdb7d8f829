import type { Command } from 'commander';
import type { SilentRegion } from '../../incidents/incident-runs.js';
import type { Impact } from '../../journal/impact.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { csvLine } from '../csv.js';
import { leaf } from '../leaf.js';
import { productsText } from '../incident-text.js';
import { withInvoke, type Invoke } from '../invoke.js';
import { countOf, number, time, type UnitLabel } from '../../kernel/words.js';
import { looksLikeIncident } from '../../kernel/short-id.js';

/** How many units are shown where not all are asked for. */
const SHOWN = 10;

export function addImpact(program: Command, context: Context): void {
  const command = leaf(
    program,
    'impact <run-or-incident>',
    'Count what a run, or all runs of an incident, have changed: units, rows by resource and kind, and the products that these are used in. With --csv or --json, every unit.',
    [
      'portcullis impact 3f2a9c1e',
      'portcullis impact k3v7qa2m',
      'portcullis impact 3f2a9c1e --csv > units.csv',
    ],
  )
    .option('--csv', 'every unit with its rows, as CSV')
    .action(async (id: string, { csv = false }: { csv?: boolean }) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'look', async (invoke) => {
        const hit = looksLikeIncident(id) ? await incidentHit(invoke, id) : await runHit(invoke, id);
        for (const { region, reason } of hit.silent) voice.note(`without ${region}: ${reason}`);
        if (csv) return printCsv(context, hit);
        const shown = await listMost(hit, voice.json ? undefined : SHOWN);
        voice.result({ ...hit.named, ...hit.impact, byUnit: shown }, () => impactText(voice, hit, shown));
      });
    });
}

/** What was changed, by a run or by all runs of an incident. */
interface Hit {
  /** What it is, for a program and for a person. */
  readonly named: Readonly<Record<string, unknown>>;
  readonly fact: readonly [string, string];
  readonly impact: Impact;
  readonly unitLabel: UnitLabel;
  /** Every unit, region by region, the most rows first in each. */
  readonly units: (most?: number) => Promise<AsyncIterable<UnitInRegion>>;
  readonly silent: readonly SilentRegion[];
}

interface UnitInRegion {
  readonly region: string;
  readonly unit: string;
  readonly rows: number;
  readonly byResource: Readonly<Record<string, number>>;
}

async function runHit(invoke: Invoke, id: string): Promise<Hit> {
  const { runId, job, version, region } = await invoke('getRun', { id });
  const { unitLabel, ...impact } = await invoke('getRunImpact', { id: runId });
  return {
    named: { runId, job, region },
    unitLabel,
    fact: ['run', `${runId} of ${job} ${version} in ${region}`],
    impact,
    units: (most) => invoke('exportRunUnits', { id: runId, most }),
    silent: [],
  };
}

async function incidentHit(invoke: Invoke, given: string): Promise<Hit> {
  const { id, job, title, unitLabel, impact, silent } = await invoke('getIncident', { id: given });
  return {
    named: { incident: id, job },
    unitLabel,
    fact: ['incident', `${id} of ${job}: ${title}`],
    impact,
    units: (most) => invoke('exportIncidentUnits', { id, most }),
    silent,
  };
}

type Shown = Omit<UnitInRegion, 'region'>;

/** The `most` units with the most rows, of all regions; absent: all. */
async function listMost({ units }: Hit, most: number | undefined): Promise<Shown[]> {
  const all: Shown[] = [];
  for await (const { unit, rows, byResource } of await units(most)) all.push({ unit, rows, byResource });
  return all.sort((a, b) => b.rows - a.rows).slice(0, most);
}

async function printCsv({ io: { stdout } }: Context, { impact, units }: Hit): Promise<void> {
  const resources = [...new Set(impact.byKind.map(({ resource }) => resource))].sort();
  stdout.write(csvLine(['unit', 'rows', ...resources]));
  for await (const { unit, rows, byResource } of await units()) {
    stdout.write(csvLine([unit, rows, ...resources.map((resource) => byResource[resource] ?? 0)]));
    await stdout.drained();
    if (stdout.closed) return;
  }
}

function impactText(
  voice: Voice,
  { fact, impact, unitLabel }: Hit,
  shown: readonly { readonly unit: string; readonly rows: number }[],
): string {
  const { units, rows, byKind, byCascade, conflicts, firstAppliedAt, lastAppliedAt } = impact;
  const facts = voice.facts([
    fact,
    [unitLabel.many, units],
    ['rows', rows],
    ...byCascade.map((each) => ['went with them', `${countOf(each.rows, 'row')} of ${each.table}`] as const),
    ['conflicts', conflicts],
    [
      'applied',
      firstAppliedAt === null || lastAppliedAt === null
        ? 'nothing'
        : `${time(firstAppliedAt)} to ${time(lastAppliedAt)}`,
    ],
  ]);
  if (rows === 0) return facts;
  const kinds = voice.table(
    [{ title: 'resource' }, { title: 'kind' }, { title: 'rows' }],
    byKind.map((each) => [each.resource, each.kind, each.rows]),
  );
  const most = voice.table(
    [{ title: unitLabel.one }, { title: 'rows' }],
    shown.map((each) => [each.unit, each.rows]),
  );
  const heading =
    units > shown.length
      ? `the ${shown.length} of ${number(units)} with the most rows (--csv has all)\n`
      : '';
  return [facts, kinds, ...productsText(voice, impact, unitLabel), `${heading}${most}`].join('\n');
}
