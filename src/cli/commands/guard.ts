import { writeFile } from 'node:fs/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { PortcullisError } from '../../kernel/errors.js';
import { fileError } from '../../postgres/file-error.js';
import { isTimeZone } from '../../flags/guard-document.js';
import type { CountOf } from '../../flags/guard-policy.js';
import { backtestCount, type Backtest } from '../../guard/backtest.js';
import { plotBacktest } from '../../guard/backtest-plot.js';
import { DEFAULT_COUNT_ALPHA } from '../../guard/count.js';
import { chance, figure } from '../../guard/in-words.js';
import type { Verdict } from '../../containment/verdict.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { readCountedRuns } from '../counted-runs-file.js';
import { withInvoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { addSuggest } from './guard-suggest.js';
import { addBaseline } from './guard-accept.js';
import type { Column } from '../table.js';
import type { Tone } from '../tone.js';
import { countOf, number, time } from '../../kernel/words.js';

/** The floor for a CSV, which has no policy: that of a policy which names none. */
const DEFAULT_FLOOR = 10;

interface BacktestOptions {
  readonly rule: string;
  readonly job?: string;
  readonly region?: string;
  readonly csv?: string;
  readonly of?: CountOf;
  readonly alpha?: number;
  readonly floor?: number;
  readonly timeZone?: string;
  readonly accepted?: boolean;
  readonly svg?: string;
}

export function addGuard(program: Command, context: Context): void {
  const guard = group(program, 'guard', 'Try out and tune the rules that judge runs.');
  addBacktest(guard, context);
  addSuggest(guard, context);
  addBaseline(guard, context);
}

function addBacktest(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'backtest',
    'Try a count rule on past runs: what it would have expected of each and said of it, knowing only those before. Thresholds are chosen by looking, not by guessing.',
    [
      'portcullis guard backtest --rule claims-per-run --job domain-claim --region eu-west-1',
      'portcullis guard backtest --rule claims-per-run --job domain-claim --region eu-west-1 --of units --floor 10',
      'portcullis guard backtest --rule claims-per-run --csv runs.csv --alpha 0.001 --svg runs.svg',
    ],
  )
    .requiredOption('--rule <name>', "the rule's name; with --job, one of the job's policy")
    .option('-j, --job <job>', 'over the accepted runs of this job')
    .option('-r, --region <region>', 'in this region')
    .option('--csv <file>', 'over the runs of a file instead: at,count[,units]')
    .addOption(
      new Option(
        '--of <what>',
        'count changes, or the units that have any, instead of what the policy says',
      ).choices(['changes', 'units']),
    )
    .option('--alpha <chance>', 'instead of what the policy says', chanceOption)
    .option('--floor <count>', 'instead of what the policy says', floorOption)
    .option(
      '--time-zone <zone>',
      'the zone in which the day turns, instead of what the policy says',
      zoneOption,
    )
    .option('--accepted', 'take every run that is stopped for accepted by a person')
    .option(
      '--svg <file>',
      'also draw the counts, what was expected, the trips, and the band by hour of the day',
    )
    .action(async (options: BacktestOptions) => {
      const voice = voiceOf(context, command);
      const backtest = await backtestOf(context, options);
      if (options.svg !== undefined) await writePlot(options.svg, backtest);
      voice.result(backtest, () => backtestText(voice, backtest));
      if (options.svg !== undefined) voice.note(`drawn: ${options.svg}`);
    });
}

/** Of the runs of a file, which takes no database; or of a job's. */
async function backtestOf(context: Context, options: BacktestOptions): Promise<Backtest> {
  const { csv, job, region, rule, of, alpha, floor, timeZone, accepted = false } = options;
  if (csv !== undefined && (job !== undefined || region !== undefined)) {
    throw usage('--csv is given together with --job or --region', 'take the runs from one or the other');
  }
  if (csv !== undefined) {
    const history = await readCountedRuns(csv);
    const given = { of: of ?? 'changes', alpha: alpha ?? DEFAULT_COUNT_ALPHA, floor: floor ?? DEFAULT_FLOOR };
    return backtestCount(accepted ? history.map((run) => ({ ...run, accepted })) : history, {
      ...{ rule, ...given },
      ...(timeZone !== undefined && { timeZone }),
    });
  }
  if (job === undefined || region === undefined) {
    throw usage('there are no runs to judge', 'give --job and --region, or --csv');
  }
  return withInvoke(context, 'look', async (invoke) => {
    const given = { of, alpha, floor, timeZone, ...(accepted && { accepted: 'true' as const }) };
    // JSON leaves out what is undefined.
    return (await invoke('backtestRule', { job, region, rule, ...given })) as Backtest;
  });
}

function usage(message: string, hint: string): PortcullisError {
  return new PortcullisError('USAGE_INVALID', message, { hint });
}

function chanceOption(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 1e-9 && value <= 0.1) return value;
  throw new InvalidArgumentError('An alpha is a chance from 1e-9 to 0.1.');
}

function zoneOption(text: string): string {
  if (isTimeZone(text)) return text;
  throw new InvalidArgumentError('A time zone is an IANA name such as Europe/Berlin.');
}

function floorOption(text: string): number {
  if (/^\d{1,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('A floor is a whole number from 0 to 99999999.');
}

async function writePlot(file: string, backtest: Backtest): Promise<void> {
  try {
    await writeFile(file, plotBacktest(backtest));
  } catch (error) {
    throw fileError('FILE_UNWRITABLE', error, `check that ${file} may be written`);
  }
}

const COLUMNS: readonly Column[] = [
  { title: 'at' },
  { title: 'count' },
  { title: 'expected', align: 'right' },
  { title: 'interval', align: 'right' },
  { title: 'chance', align: 'right', below: 1 },
  { title: 'verdict' },
];

function backtestText(voice: Voice, backtest: Backtest): string {
  const { runs, alpha, budget, alternatives, rule, of, floor, measured, trips, warnings } = backtest;
  if (runs.length === 0)
    return `there is no accepted run yet ${of === 'units' ? 'whose units were counted' : 'to judge'}\n`;
  const table = voice.table(
    COLUMNS,
    runs.map(({ at, count, expected, low, high, p, verdict, worth }) => [
      time(at),
      count,
      expected === null ? '–' : figure(expected),
      low === null || high === null ? '–' : `${figure(low)}–${figure(high)}`,
      p === null ? '–' : chance(Math.log(p)),
      { text: said(verdict, worth), tone: TONES[verdict] },
    ]),
  );
  const stops = voice.table(
    [{ title: 'alpha', align: 'right' }, { title: 'trips' }, { title: 'holds' }],
    [alternatives[0], backtest, alternatives[1]].flatMap((each) =>
      each === undefined ? [] : [[chance(Math.log(each.alpha)), each.trips, each.holds]],
    ),
  );
  const facts = voice.facts([
    ['rule', `${rule}: alpha ${chance(Math.log(alpha))}, floor ${number(floor)} ${of}`],
    ['runs', `${number(runs.length)}, of which ${number(measured.judged)} had something to be compared with`],
    [
      'measured',
      `${countOf(trips, 'trip')}; alpha makes ${figure(measured.expectedTrips)} of as many healthy runs`,
    ],
    [
      'budget',
      budget.falseTripsAYear === null || budget.runsAYear === null
        ? 'too few runs to say how many there are in a year'
        : `at most ${figure(budget.falseTripsAYear)} a year in a region, at this pace of ${number(budget.runsAYear)} runs a year`,
    ],
  ]);
  const warned = warnings.map((warning) => `${voice.paint(warning, 'warning')}\n`).join('');
  return `${table}\n${facts}\n${stops}${warned === '' ? '' : `\n${warned}`}`;
}

const TONES = {
  pass: 'plain',
  fail: 'bad',
  'too-few': 'quiet',
  'no-data': 'quiet',
  unreachable: 'quiet',
} as const satisfies Record<Verdict, Tone>;

/** What the guard would have done: a fail trips, or holds where it is worth no more. */
function said(verdict: Verdict, worth: 'hold' | undefined): string {
  if (verdict === 'fail') return worth ?? 'trip';
  return verdict;
}
