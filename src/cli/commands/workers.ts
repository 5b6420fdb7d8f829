import type { Command } from 'commander';
import { time } from '../../kernel/words.js';
import type { Operations } from '../../operations/list.js';
import type { OutputOf } from '../../operations/operation.js';
import type { Context, Voice } from '../context.js';
import { leaf } from '../leaf.js';
import { limitOption, showList } from '../listing.js';
import type { Cell } from '../table.js';

type Worker = OutputOf<Operations['listWorkers']>['items'][number];
type HeardFlag = Worker['versions'][number]['flags'][number];

export function addWorkers(program: Command, context: Context): void {
  const command = leaf(
    program,
    'workers',
    'List workers: what each can run and where, and which revision of each flag it has heard.',
    ['portcullis workers', 'portcullis workers --json'],
  ).addOption(limitOption('workers'));
  command.action(({ limit }: { limit: number }) =>
    showList(context, command, {
      as: 'workers',
      limit,
      pageOf: (invoke, page) => invoke('listWorkers', page),
      text: workersText,
    }),
  );
}

function workersText(voice: Voice, workers: readonly Worker[]): string {
  if (workers.length === 0) return 'No workers\n';
  const rows = workers.flatMap(({ worker, atWork, lastSeenAt, versions }) =>
    versions.flatMap(({ job, version, flags }) =>
      flags.map((flag): Cell[] => [
        worker,
        { text: atWork ? 'at work' : 'silent', tone: atWork ? 'good' : 'bad' },
        time(lastSeenAt),
        job,
        version,
        flag.region,
        heardText(flag),
      ]),
    ),
  );
  return voice.table(
    [
      { title: 'worker' },
      { title: 'state' },
      { title: 'last heard', minor: true },
      { title: 'job', below: 2 },
      { title: 'version', below: 1 },
      { title: 'region' },
      { title: 'flag heard' },
    ],
    rows,
  );
}

/** The revision that it has heard, and the one in force where that is another. */
function heardText({ heard, current }: HeardFlag): Cell {
  if (heard === null) return { text: 'not yet', tone: 'warning' };
  if (current === null || current === heard) return String(heard);
  return { text: `${heard}, now ${current}`, tone: 'warning' };
}
