import { time } from '../../kernel/words.js';
import type { Operations } from '../../operations/list.js';
import type { OutputOf } from '../../operations/operation.js';
import type { Context, Voice } from '../context.js';
import { withInvoke } from '../invoke.js';
import { listUpTo } from '../../client/client.js';
import { noteUnreachable } from '../unreachable.js';

type Missed = OutputOf<Operations['listMissedRuns']>['items'][number];

export interface MissedOptions {
  readonly job?: string | undefined;
  readonly region?: string | undefined;
  readonly since?: Date | undefined;
  readonly limit: number;
}

/** `runs --missed`: the scheduled times at which nothing ran, and why. */
export async function showMissed(
  context: Context,
  voice: Voice,
  { job, region, since, limit }: MissedOptions,
): Promise<void> {
  let unreachable: readonly string[] = [];
  const { items: missed } = await withInvoke(context, 'look', (invoke) =>
    listUpTo(limit, async (page) => {
      const found = await invoke('listMissedRuns', { job, region, since: since?.toISOString(), ...page });
      unreachable = found.unreachable;
      return found;
    }),
  );
  voice.result({ missed, unreachable }, () => missedText(voice, missed));
  noteUnreachable(
    voice,
    unreachable.map((database) => ({ database, reason: 'what should have run there is not known' })),
  );
}

function missedText(voice: Voice, missed: readonly Missed[]): string {
  if (missed.length === 0) return 'Nothing was missed\n';
  return voice.table(
    [
      { title: 'should have run' },
      { title: 'job' },
      { title: 'region' },
      { title: 'run', below: 3 },
      { title: 'reason', below: 4 },
    ],
    missed.map(({ slot, job, region, runId, reason }) => [
      time(slot),
      job,
      region,
      runId === null ? '–' : runId.slice(0, 8),
      reason,
    ]),
  );
}
