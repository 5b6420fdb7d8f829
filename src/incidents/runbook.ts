import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { countOf, number, unitsOf } from '../kernel/words.js';
import type { Assessment } from './assess-incident.js';
import { hasDamage, regionsKilled, type Incident } from './incident.js';
import { writers } from './incident-runs.js';
import { stillOpen } from './move-incident.js';
import { shorten } from '../kernel/text.js';

export const STEP_ACTS = ['kill', 'include', 'restore', 'rearm', 'close'] as const;

/** One step of a runbook. */
export const Step = z.strictObject({
  title: z.string(),
  commands: z
    .array(z.string())
    .readonly()
    .describe('to be typed as they stand; text in capitals is to be filled in'),
  expect: z.string().describe('what they answer when all is well, and what to do when not'),
  done: z.boolean().describe('as far as Portcullis knows'),
  needed: z
    .boolean()
    .describe('false: it looks, or there may be nothing to do; the steps after it need not wait for it'),
  act: z.enum(STEP_ACTS).nullable().describe('what the step does; null: it only looks'),
});
export type Step = z.infer<typeof Step>;

const MOST_PAGE = 50_000;

interface Installed {
  readonly definition: { readonly name: string; readonly runbook?: URL | undefined };
}

/** What a job says of its changes: its file is read when it is asked for, since nobody waits for it at a start. */
export async function runbookPage(job: string, installed: readonly Installed[]): Promise<string | null> {
  const file = installed.find(({ definition }) => definition.name === job)?.definition.runbook;
  if (file === undefined) return null;
  return readFile(file, 'utf8').then(
    (text) => shorten(text, MOST_PAGE),
    // Without the file's path: whoever reads this may be anywhere.
    (error: unknown) =>
      `The runbook that ${job} brings cannot be read: ${String((error as { code?: unknown }).code)}`,
  );
}

/** The way out of an incident: every command with its ids, in order. */
export function runbookOf({ incident, impact, unitLabel, runs, silent }: Assessment): Step[] {
  const { id, state } = incident;
  const wrote = writers(runs);
  const restored = state === 'restored' || state === 'closed';
  if (!hasDamage(incident)) return undamaged(incident);
  return [
    stop(incident),
    {
      title: 'See how bad it is',
      needed: false,
      act: null,
      commands: [`portcullis incident show ${id}`, `portcullis impact ${id} --csv > units-${id}.csv`],
      expect:
        wrote.length === 0
          ? 'no run of it has changed anything: there is nothing to restore. The file holds only its heading'
          : `${countOf(impact.rows, 'row')} of ${unitsOf(impact.units, unitLabel)} by ${countOf(wrote.length, 'run')}. The file names each of these ${unitLabel.many}, for those who tell customers`,
      done: restored,
    },
    {
      title: 'Make sure that the first bad run is the first',
      needed: false,
      act: 'include',
      commands: [
        ...incident.regions.map(({ region }) => `portcullis runs --job ${incident.job} --region ${region}`),
        `portcullis incident include ${id} RUN`,
      ],
      expect: `the runs that belong to it: ${wrote.map((run) => run.id.slice(0, 8)).join(', ') || 'none that wrote'}. Include the earliest one that is bad too; those after it come along. Nothing to include: go on`,
      done: restored,
    },
    ...(wrote.length === 0 ? [] : restoring(incident, impact.rows, restored)),
    ...silent.map(({ region, reason }) => ({
      title: `Look again at ${region}`,
      needed: false,
      act: null,
      commands: [`portcullis incident show ${id}`],
      expect: `its database could not be asked (${reason}); figures without it are too low`,
      done: false,
    })),
    ...reopening(incident),
    {
      title: 'Write it up, and close it',
      needed: true,
      act: 'close',
      commands: [
        `portcullis incident export ${id} --format md > post-mortem-${id}.md`,
        `portcullis incident close ${id} --conclusion "WHAT WAS WRONG"`,
      ],
      expect: 'a draft with timeline, impact and figures; then the incident is closed',
      done: state === 'closed',
    },
  ];
}

/** The way out while nobody has named damage: say whether there is any, and let the job go on. */
function undamaged(incident: Incident): Step[] {
  const { id, job, regions, drill, state } = incident;
  const ask: Step = {
    title: 'Find out whether any run did damage',
    needed: false,
    act: 'include',
    commands: [
      ...regions.map(({ region }) => `portcullis runs --job ${job} --region ${region}`),
      `portcullis incident include ${id} RUN`,
      `portcullis incident include ${id} --since TIME`,
    ],
    expect:
      'the runs, newest first. Include the first bad run, or all since a time; then this runbook has the steps to restore. No damage: go on',
    done: state === 'closed',
  };
  return [
    stop(incident),
    ...(drill ? [] : [ask]),
    ...reopening(incident),
    {
      title: drill ? 'End the drill' : 'Close it',
      needed: true,
      act: 'close',
      commands: [
        `portcullis incident close ${id} --conclusion "${drill ? 'DRILL: HOW IT WENT' : 'WHAT WAS WRONG'}"`,
      ],
      expect: 'the incident is closed',
      done: state === 'closed',
    },
  ];
}

function stop(incident: Incident): Step {
  const { id, job, version, state } = incident;
  const open = stillOpen(incident);
  const where = open.length > 0 ? open : regionsKilled(incident);
  const shown = [
    ...(where.length > 0 ? ['the gates killed'] : []),
    ...(version === null ? [] : [`${version} quarantined`]),
  ].join(' and ');
  return {
    title: 'Stop it',
    needed: true,
    act: 'kill',
    commands: [
      ...where.map((region) => `portcullis kill ${job} --region ${region} --reason "incident ${id}"`),
      ...(version === null ? [] : [`portcullis kill ${job} --version ${version} --reason "incident ${id}"`]),
      `portcullis status`,
    ],
    expect: `each kill answers that no change commits any more, and status shows ${shown}. Exit code 1, KILL_INCOMPLETE: give it again until it answers 0`,
    done: open.length === 0 && state !== 'open',
  };
}

function restoring({ id }: Incident, rows: number, done: boolean): Step[] {
  return [
    {
      title: 'See what a restore would do',
      needed: false,
      act: null,
      commands: [`portcullis restore ${id} --dry-run`],
      expect: `run by run, the newest first: of ${number(rows)} changed, the rows to put back, and those that somebody has touched since, which stay as they are`,
      done,
    },
    {
      title: 'Put it back',
      needed: true,
      act: 'restore',
      commands: [`portcullis restore ${id}`],
      expect:
        'exit code 0 and each run as succeeded. Interrupted, or exit code 3: give the same command again, and it goes on where it was',
      done,
    },
    {
      title: 'See what was skipped',
      needed: false,
      act: null,
      commands: [
        `portcullis restore ${id} --dry-run --conflicts csv > conflicts-${id}.csv`,
        `portcullis incident show ${id}`,
      ],
      expect:
        'the incident as restored, and a file of the rows that others have touched since, each for a person to decide; only its heading when there are none',
      done,
    },
  ];
}

function reopening(incident: Incident): Step[] {
  const { id, job, version, state } = incident;
  const killed = regionsKilled(incident);
  const done = state === 'closed';
  if (killed.length === 0 && version !== null) {
    return [
      {
        title: 'Let a good version go on',
        needed: false,
        act: null,
        commands: ['portcullis status'],
        expect: `the gates as they were: only ${version} was stopped, and it stays quarantined. Should it have been right: portcullis rearm ${job} --version ${version}, which a second person approves`,
        done,
      },
    ];
  }
  return [
    {
      title: 'Let a good version go on',
      // Somebody may have re-armed it already.
      needed: false,
      act: 'rearm',
      commands: [
        ...killed.map(
          (region) => `portcullis rearm ${job} --region ${region} --reason "incident ${id} is over"`,
        ),
        'portcullis approve APPROVAL',
      ],
      expect: `each re-arm answers the id of a request, which a second person approves; GATE_NOT_KILLED where somebody has re-armed it since. ${version === null ? 'Take a bad version’s share away first: portcullis flags set' : `${version} stays quarantined`}`,
      done,
    },
  ];
}
