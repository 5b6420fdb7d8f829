import type { Command } from 'commander';
import { figure } from '../../guard/in-words.js';
import type { JudgedBy } from '../../guard/judged-by.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke } from '../invoke.js';
import { number } from '../../kernel/words.js';
import { leaf } from '../leaf.js';
import { reasonOption } from '../reason-option.js';

/** Adds `accept ID` and `rebaseline JOB` to a command. */
export function addBaseline(parent: Command, context: Context): void {
  addAccept(parent, context);
  addRebaseline(parent, context);
}

function addAccept(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'accept <run>',
    'Accept a run that was held, tripped or restored: what it planned was right, and is part of the baseline from now on. Shows what the next run like it is judged by, before and after. It re-arms nothing.',
    ['portcullis guard accept 3f2a9c1e --reason "a merger: the claims are real"'],
  )
    .requiredOption('--reason <text>', 'why, for whoever reads the record', reasonOption)
    .action(async (id: string, { reason }: { readonly reason: string }) => {
      const voice = voiceOf(context, command);
      const accepted = await withInvoke(context, 'change', (invoke) => invoke('acceptRun', { id, reason }));
      voice.result(accepted, () => acceptedText(voice, accepted.runId, accepted.before, accepted.after));
    });
}

/** What the next run like it is judged by, before and after. */
function acceptedText(
  voice: Voice,
  runId: string,
  before: readonly JudgedBy[],
  after: readonly JudgedBy[],
): string {
  const said = `Run ${runId.slice(0, 8)} accepted; now part of the baseline.\n`;
  if (after.length === 0) return `${said}Count rules have too few runs to compare the next one with.\n`;
  const trips = (of: JudgedBy | undefined): string =>
    of === undefined ? '–' : of.tripsFrom === null ? 'never' : number(of.tripsFrom);
  const band = (of: JudgedBy | undefined): string =>
    of === undefined ? '–' : `${figure(of.expected)} (${figure(of.low)}–${figure(of.high)})`;
  const table = voice.table(
    [
      { title: 'rule' },
      { title: 'expected before', align: 'right' },
      { title: 'after', align: 'right' },
      { title: 'trips from, before', align: 'right' },
      { title: 'after', align: 'right' },
      { title: 'compared with', below: 1 },
    ],
    after.map((each) => {
      const was = before.find(({ rule }) => rule === each.rule);
      return [
        ...[each.rule, band(was), band(each), trips(was), trips(each)],
        `${each.comparable}, ${number(each.samples)}`,
      ];
    }),
  );
  return `${said}The next run that is due at the same time of the week is judged by:\n${table}`;
}

interface RebaselineOptions {
  readonly region: string;
  readonly kind?: string;
  readonly reason: string;
}

function addRebaseline(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'rebaseline <job>',
    'Say that a level has shifted for good: runs until now are excluded from the baseline. Until there are new ones, caps carry the count rules.',
    [
      'portcullis guard rebaseline domain-claim --region eu-west-1 --kind claim --reason "twice the customers"',
    ],
  )
    .requiredOption('-r, --region <region>', 'in this region')
    .option('--kind <kind>', 'only changes of this kind')
    .requiredOption('--reason <text>', 'why, for whoever reads the record', reasonOption)
    .action(async (job: string, { region, kind, reason }: RebaselineOptions) => {
      const voice = voiceOf(context, command);
      const rebaselined = await withInvoke(context, 'change', (invoke) =>
        invoke('rebaseline', { job, region, kind, reason }),
      );
      voice.result(
        rebaselined,
        () => `runs of ${job} in ${region} before ${rebaselined.since} are no longer part of the baseline\n`,
      );
    });
}
