import type { Command } from 'commander';
import { listUpTo } from '../../client/client.js';
import { number, time } from '../../kernel/words.js';
import { MOST_COUNTED, type UnitRunView } from '../../regions/unit-runs.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import { jobOption, limitOption } from '../listing.js';
import { toneOf } from '../tone.js';
import { noteUnreachable } from '../unreachable.js';

interface UnitOptions {
  readonly job?: string;
  readonly region?: string;
  readonly limit: number;
}

export function addUnit(program: Command, context: Context): void {
  const command = leaf(
    program,
    'unit <unit>',
    'List the runs that planned a change for a unit, newest first, and what became of its changes.',
    ['portcullis unit org-17', 'portcullis unit org-17 --job domain-claim --limit 5'],
  )
    .addOption(jobOption())
    .option('-r, --region <region>', 'only in this region')
    .addOption(limitOption('runs'))
    .action(async (unit: string, { limit, ...filter }: UnitOptions) => {
      const voice = voiceOf(context, command);
      let unreachable: readonly string[] = [];
      const { items } = await withInvoke(context, 'look', (invoke) =>
        listUpTo(limit, async (request) => {
          const page = await invoke('listUnitRuns', { unit, ...filter, ...request });
          ({ unreachable } = page);
          return page;
        }),
      );
      voice.result({ unit, runs: items, unreachable }, () => unitText(voice, unit, items));
      noteUnreachable(
        voice,
        unreachable.map((database) => ({ database, reason: 'it does not answer' })),
      );
    });
}

export function unitText(voice: Voice, unit: string, runs: readonly UnitRunView[]): string {
  if (runs.length === 0) return `No run planned a change for ${unit}\n`;
  return voice.table(
    [
      { title: 'run' },
      { title: 'began', below: 3 },
      { title: 'job', below: 2 },
      { title: 'version', below: 1 },
      { title: 'region' },
      { title: 'status' },
      { title: 'planned', below: 4 },
      { title: 'applied' },
      { title: 'conflicts', below: 5 },
      { title: 'restores', minor: true },
    ],
    runs.map(({ runId, createdAt, job, version, region, status, dryRun, restores: of, ...counts }) => [
      runId.slice(0, 8),
      time(createdAt),
      job,
      version,
      region,
      { text: dryRun ? `${status} (dry run)` : status, tone: toneOf(status) },
      counted(counts.planned),
      number(counts.applied),
      counts.conflicts,
      of === null ? '–' : of.slice(0, 8),
    ]),
  );
}

const counted = (changes: number): string =>
  changes >= MOST_COUNTED ? `${number(MOST_COUNTED)} or more` : number(changes);
