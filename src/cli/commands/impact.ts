import type { Command } from 'commander';
import { impactByUnit, impactOf, type Impact } from '../../journal/impact.js';
import { findRunOf } from '../../planes/browse.js';
import type { RunView } from '../../scheduler/browse-runs.js';
import { requireActing } from '../acting.js';
import { voiceOf, withInstallation, type Context, type Voice } from '../context.js';
import { csvLine } from '../csv.js';
import { leaf } from '../leaf.js';
import { listFirst } from '../../base/list-first.js';
import { number, time } from '../wording.js';

/** How many organisations are shown where not all are asked for. */
const SHOWN = 10;

export function addImpact(program: Command, context: Context): void {
  const command = leaf(
    program,
    'impact <run>',
    'Count what a run has changed: organisations, and rows by resource and kind. With --csv or --json, every organisation.',
    ['portcullis impact 3f2a9c1e', 'portcullis impact 3f2a9c1e --csv > organisations.csv'],
  )
    .option('--csv', 'every organisation with its rows, as CSV')
    .action(async (id: string, { csv = false }: { csv?: boolean }) => {
      const voice = voiceOf(context, command);
      await withInstallation(context, async (installation) => {
        await requireActing(context, installation, 'read');
        const { run, plane } = await findRunOf(installation.planes, id);
        const impact = await impactOf(plane.worker, run.runId);
        const units = impactByUnit(plane.worker, run.runId);
        if (csv) return printCsv(context, impact, units);
        const shown = await listFirst(units, voice.json ? Infinity : SHOWN);
        voice.result({ runId: run.runId, job: run.job, region: run.region, ...impact, byUnit: shown }, () =>
          impactText(voice, run, impact, shown),
        );
      });
    });
}

type Units = ReturnType<typeof impactByUnit>;

async function printCsv({ io: { stdout } }: Context, { byKind }: Impact, units: Units): Promise<void> {
  const resources = [...new Set(byKind.map(({ resource }) => resource))].sort();
  stdout.write(csvLine(['organisation', 'rows', ...resources]));
  for await (const { unit, rows, byResource } of units) {
    stdout.write(csvLine([unit, rows, ...resources.map((resource) => byResource[resource] ?? 0)]));
    await stdout.drained();
    if (stdout.closed) return;
  }
}

function impactText(
  voice: Voice,
  run: RunView,
  impact: Impact,
  shown: readonly { readonly unit: string; readonly rows: number }[],
): string {
  const { units, rows, byKind, conflicts, firstAppliedAt, lastAppliedAt } = impact;
  const facts = voice.facts([
    ['run', `${run.runId} of ${run.job} ${run.version} in ${run.region}`],
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
  return `${facts}\n${kinds}\n${heading}${most}`;
}
