import type { Command } from 'commander';
import { countOf, number } from '../../kernel/words.js';
import type { Operations } from '../../operations/list.js';
import type { OutputOf } from '../../operations/operation.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke } from '../invoke.js';
import { leaf } from '../leaf.js';

/** Adds `suggest JOB` to a command. */
export function addSuggest(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'suggest <job>',
    'Propose caps, count rules and floors from what accepted runs planned, with what each would have said of them. Prints a difference to the policy and applies nothing.',
    ['portcullis guard suggest domain-claim'],
  ).action(async (job: string) => {
    const voice = voiceOf(context, command);
    const found = await withInvoke(context, 'look', (invoke) => invoke('suggestRules', { job }));
    voice.result(found, () => suggestText(voice, job, found.suggestions));
  });
}

type Suggestion = OutputOf<Operations['suggestRules']>['suggestions'][number];

function suggestText(voice: Voice, job: string, suggestions: readonly Suggestion[]): string {
  if (suggestions.length === 0)
    return voice.sentence(
      `Nothing to suggest: no kind of change of ${job} has 12 accepted runs in a region.`,
    );
  const parts = (['cap', 'count'] as const).flatMap((kind) => {
    const lines = suggestions.filter((each) => each.kind === kind).flatMap(({ difference }) => difference);
    const head = kind === 'cap' ? 'caps:' : 'rules:';
    return lines.length === 0 ? [] : [`  guard.${head}`, ...lines.map((line) => `  ${line}`)];
  });
  const table = voice.table(
    [
      { title: 'proposed' },
      { title: 'region' },
      { title: 'runs' },
      { title: 'judged' },
      { title: 'trips' },
      { title: 'holds' },
    ],
    suggestions.flatMap((each) =>
      each.said.map(({ region, runs, judged, trips, holds }) => [
        each.kind === 'cap' ? `cap:${each.proposed.kind}` : each.proposed.name,
        ...[region, runs, judged, trips, holds],
      ]),
    ),
  );
  const difference = parts.length === 0 ? 'The policy has these rules already.' : parts.join('\n');
  const regions = new Set(suggestions.flatMap(({ said }) => said.map(({ region }) => region))).size;
  return `${difference}\n\nWhat each would have said of the accepted runs of ${countOf(regions, 'region')}:\n${table}\nNothing was applied. Edit the policy, then: portcullis flags diff; portcullis flags apply (${number(suggestions.length)} proposed)\n`;
}
