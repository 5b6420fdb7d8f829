import type { Command } from 'commander';
import { countOf, number } from '../../kernel/words.js';
import { acceptedHistory, countedRuns } from '../../guard/accepted-runs.js';
import { policyDifference, suggestRules, type KindHistory, type Suggestion } from '../../guard/suggest.js';
import { requireActing } from '../acting.js';
import { voiceOf, withInstallation, type Context, type Voice } from '../context.js';
import { leaf } from '../leaf.js';
import { knownJob } from '../names.js';

/** Adds `suggest JOB` to a command. */
export function addSuggest(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'suggest <job>',
    'Propose caps, count rules and floors from what accepted runs planned, with what each would have said of them. Prints a difference to the policy and applies nothing.',
    ['portcullis guard suggest domain-claim'],
  ).action(async (job: string) => {
    const voice = voiceOf(context, command);
    await withInstallation(context, async (installation) => {
      await requireActing(context, installation, 'read');
      const { policy, job: loaded } = await knownJob(context.app, installation, job);
      const histories: KindHistory[] = [];
      for (const region of policy.regions) {
        const history = await acceptedHistory(installation.planes.of(region).worker, { job, region });
        for (const change of loaded.kinds.keys()) {
          for (const counted of ['changes', 'units'] as const) {
            const runs = countedRuns(history, { change, of: counted });
            histories.push({ region, change, of: counted, runs });
          }
        }
      }
      const suggestions = suggestRules(histories, policy.guard);
      const differences = suggestions.map((each) => ({ ...each, difference: policyDifference(each) }));
      voice.result({ job, applied: false, suggestions: differences }, () =>
        suggestText(voice, job, suggestions),
      );
    });
  });
}

function suggestText(voice: Voice, job: string, suggestions: readonly Suggestion[]): string {
  if (suggestions.length === 0)
    return `Nothing to suggest: no kind of change of ${job} has 12 accepted runs in a region.\n`;
  const parts = (['cap', 'count'] as const).flatMap((kind) => {
    const lines = suggestions.filter((each) => each.kind === kind).flatMap(policyDifference);
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
