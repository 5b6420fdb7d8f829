import type { Command } from 'commander';
import type { InitOrder, InitReport } from '../app-port.js';
import { voiceOf, type Context } from '../context.js';
import { leaf } from '../leaf.js';
import type { Terminal } from '../terminal.js';

type InitOptions = Omit<InitOrder, 'force' | 'ask'> & { readonly force?: boolean; readonly yes?: boolean };

export function addInit(program: Command, context: Context): void {
  const command = leaf(
    program,
    'init',
    'Write a new job into this folder: configuration, job, policy, grants, test, image, CI.\n' +
      'With a variable that holds your database’s URL, the job is made for your tables, and its caps from today’s counts; without one, for an example’s. ' +
      'Asks on a terminal for what no option says. A file that is there is kept.',
    [
      'portcullis init',
      'portcullis init --name dormant-cleanup --database PORTCULLIS_DATABASE_URL_APP --unit tenants --table customers --column standing --from active --to dormant',
    ],
  )
    .option('--name <job>', 'the name of the job')
    .option('--database <variable>', 'the variable that holds your database’s URL')
    .option('--unit <table>', 'the table of your units: tenants, teams')
    .option('--region <column>', 'its column with a unit’s region')
    .option('--table <table>', 'the table whose rows the job changes or deletes')
    .option('--unit-column <column>', 'its column with the unit, where no foreign key tells')
    .option('--action <what>', 'set a column, or delete the rows')
    .option('--column <column>', 'the column that it looks at, and sets')
    .option('--from <value>', 'the value that it looks for')
    .option('--to <value>', 'the value that it sets')
    .option('--force', 'overwrite files that are there')
    .option('-y, --yes', 'ask nothing: take what is likely')
    .action(async ({ force = false, yes = false, ...options }: InitOptions) => {
      const voice = voiceOf(context, command);
      const asks = context.io.asks && !yes && !voice.json;
      const report = await context.app.authoring.init({
        ...{ ...options, force },
        ...(asks && { ask: (...question) => ask(context.io, ...question) }),
      });
      voice.result(report, () => reportText(context.io, report));
      if (report.written.length + report.completed.length === 0) context.io.exitWith(1);
    });
}

/** How many choices are shown. */
const SHOWN = 12;

async function ask(
  io: Terminal,
  question: string,
  likely: string,
  options: readonly string[],
  fault: string | undefined,
): Promise<string | undefined> {
  const more = options.length > SHOWN ? ', …' : '';
  const choices =
    options.length < 2 ? '' : `\n  one of ${options.filter((_, at) => at < SHOWN).join(', ')}${more}`;
  const wrong = fault === undefined ? '' : `${fault}\n`;
  const answer = await io.askLine(
    `${wrong}${question}${choices}\n  ${likely === '' ? '' : `[${likely}] `}> `,
  );
  return answer === undefined ? undefined : answer.trim() || likely;
}

function reportText(
  { program }: Terminal,
  { written, kept, completed, cautions, variable, job, introspected }: InitReport,
): string {
  const next = [
    'npm install',
    `${program} check`,
    'npm test',
    `${program} dev        # plans again on each save`,
    ...(introspected ? [] : [`export ${variable}=postgresql://…   # a database with schema.sql's tables`]),
    `${program} migrate`,
    `psql "$${variable}" -f grants.sql`,
    `${program} start`,
  ];
  return [
    ...written.map((path) => `wrote ${path}`),
    ...(completed.length === 0 ? [] : [`completed package.json: ${completed.join(', ')}`]),
    ...kept.map((path) => `kept ${path}, which was there; --force overwrites`),
    ...cautions.map((each) => `Note: ${each}`),
    ...(written.length + completed.length === 0
      ? ['nothing was written']
      : [
          '',
          `Next, in this order (the job is jobs/${job}/index.ts):`,
          '',
          ...next.map((line) => `  ${line}`),
        ]),
  ]
    .map((line) => `${line}\n`)
    .join('');
}
