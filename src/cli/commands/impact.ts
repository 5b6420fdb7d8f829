import type { Command } from 'commander';
import type pg from 'pg';
import { examineIncident } from '../../incidents/assess-incident.js';
import { looksLikeIncident } from '../../incidents/browse-incidents.js';
import { writers, type SilentRegion } from '../../incidents/incident-runs.js';
import { impactByUnit, impactOf, type Impact, type UnitImpact } from '../../journal/impact.js';
import { findRunOf } from '../../regions/browse.js';
import { requireActing } from '../acting.js';
import type { Installation } from '../app-port.js';
import { voiceOf, withLook, type Context, type Voice } from '../context.js';
import { csvLine } from '../csv.js';
import { leaf } from '../leaf.js';
import { listFirst } from '../../kernel/list-first.js';
import { productsText } from '../incident-text.js';
import { number, time } from '../../kernel/words.js';

/** How many organisations are shown where not all are asked for. */
const SHOWN = 10;

export function addImpact(program: Command, context: Context): void {
  const command = leaf(
    program,
    'impact <run-or-incident>',
    'Count what a run, or all runs of an incident, have changed: organisations, rows by resource and kind, and the products that these are used in. With --csv or --json, every organisation.',
    [
      'portcullis impact 3f2a9c1e',
      'portcullis impact k3v7qa2m',
      'portcullis impact 3f2a9c1e --csv > organisations.csv',
    ],
  )
    .option('--csv', 'every organisation with its rows, as CSV')
    .action(async (id: string, { csv = false }: { csv?: boolean }) => {
      const voice = voiceOf(context, command);
      await withLook(context, async (installation) => {
        await requireActing(context, installation, 'read');
        const hit = looksLikeIncident(id)
          ? await incidentHit(installation, id)
          : await runHit(installation, id);
        for (const { region, reason } of hit.silent) voice.note(`without ${region}: ${reason}`);
        if (csv) return printCsv(context, hit);
        const shown = await listMost(hit.units, voice.json ? Infinity : SHOWN);
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
  /** Every organisation, region by region, the most rows first in each. */
  readonly units: readonly AsyncGenerator<UnitImpact>[];
  readonly silent: readonly SilentRegion[];
}

async function runHit({ planes }: Installation, id: string): Promise<Hit> {
  const { run, plane } = await findRunOf(planes, id);
  const { runId, job, version, region } = run;
  return {
    named: { runId, job, region },
    fact: ['run', `${runId} of ${job} ${version} in ${region}`],
    impact: await impactOf(plane.worker, runId),
    units: [impactByUnit(plane.worker, runId)],
    silent: [],
  };
}

async function incidentHit({ control, planes }: Installation, id: string): Promise<Hit> {
  const poolOf = (region: string): pg.Pool => planes.of(region).worker;
  const { incident, impact, runs, silent } = await examineIncident(control, poolOf, id);
  const wrote = writers(runs);
  return {
    named: { incident: incident.id, job: incident.job },
    fact: ['incident', `${incident.id} of ${incident.job}: ${incident.title}`],
    impact,
    units: impact.regions.map(({ region }) =>
      impactByUnit(poolOf(region), ...wrote.filter((run) => run.region === region).map((run) => run.id)),
    ),
    silent,
  };
}

/** The `most` organisations with the most rows, of however many lists. */
async function listMost(lists: Hit['units'], most: number): Promise<UnitImpact[]> {
  const all = [];
  for (const units of lists) all.push(...(await listFirst(units, most)));
  return all.sort((a, b) => b.rows - a.rows).slice(0, most);
}

async function printCsv({ io: { stdout } }: Context, { impact, units }: Hit): Promise<void> {
  const resources = [...new Set(impact.byKind.map(({ resource }) => resource))].sort();
  stdout.write(csvLine(['organisation', 'rows', ...resources]));
  for (const list of units) {
    for await (const { unit, rows, byResource } of list) {
      stdout.write(csvLine([unit, rows, ...resources.map((resource) => byResource[resource] ?? 0)]));
      await stdout.drained();
      if (stdout.closed) return;
    }
  }
}

function impactText(
  voice: Voice,
  { fact, impact }: Hit,
  shown: readonly { readonly unit: string; readonly rows: number }[],
): string {
  const { units, rows, byKind, conflicts, firstAppliedAt, lastAppliedAt } = impact;
  const facts = voice.facts([
    fact,
    ['organisations', units],
    ['rows', rows],
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
    [{ title: 'organisation' }, { title: 'rows' }],
    shown.map((each) => [each.unit, each.rows]),
  );
  const heading =
    units > shown.length
      ? `the ${shown.length} of ${number(units)} with the most rows (--csv has all)\n`
      : '';
  return [facts, kinds, ...productsText(voice, impact), `${heading}${most}`].join('\n');
}
