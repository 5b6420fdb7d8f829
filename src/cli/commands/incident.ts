import { Option, type Command } from 'commander';
import { INCIDENT_STATES, type IncidentState } from '../../incidents/incident-states.js';
import { PortcullisError } from '../../kernel/errors.js';
import { voiceOf, type Context } from '../context.js';
import { incidentsText, incidentText, runbookText } from '../incident-text.js';
import { instant } from '../instant.js';
import { withInvoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { jobOption, limitOption, showList, stateOption } from '../listing.js';
import { time } from '../../kernel/words.js';
import { reasonOption } from '../reason-option.js';

export function addIncident(program: Command, context: Context): void {
  const incident = group(program, 'incident', 'Work through incidents, which trips, kills and people open.');
  addList(incident, context);
  addShow(incident, context);
  addRunbook(incident, context);
  addOpen(incident, context);
  addInclude(incident, context);
  addClose(incident, context);
  addExport(incident, context);
}

function addList(incident: Command, context: Context): void {
  const command = leaf(incident, 'list', 'List incidents, newest first.', [
    'portcullis incident list',
    'portcullis incident list --unclosed --json',
  ])
    .addOption(jobOption())
    .addOption(stateOption(Object.keys(INCIDENT_STATES)))
    .option('--unclosed', 'only those that are not closed')
    .addOption(limitOption('incidents'))
    .action((options: { job?: string; state?: IncidentState; unclosed?: boolean; limit: number }) =>
      showList(context, command, {
        ...{ as: 'incidents', limit: options.limit, text: incidentsText },
        pageOf: (invoke, page) => {
          const { job, state, unclosed } = options;
          return invoke('listIncidents', { job, state, ...(unclosed && { unclosed: 'true' }), ...page });
        },
      }),
    );
}

function addShow(incident: Command, context: Context): void {
  const command = leaf(
    incident,
    'show <incident>',
    'Show one incident: its state, what its runs changed, how long it took, and its timeline.',
    ['portcullis incident show k3v7qa2m'],
  ).action(async (id: string) => {
    const voice = voiceOf(context, command);
    const [found, { moments }] = await withInvoke(context, 'look', (invoke) =>
      Promise.all([invoke('getIncident', { id }), invoke('getIncidentTimeline', { id })]),
    );
    voice.result({ ...found, timeline: moments }, () =>
      incidentText(voice, { incident: found, ...found }, moments),
    );
  });
}

function addRunbook(incident: Command, context: Context): void {
  const command = leaf(
    incident,
    'runbook <incident>',
    'Print what to do now: every command with its ids, in order, and what to expect of it.',
    ['portcullis incident runbook k3v7qa2m'],
  ).action(async (id: string) => {
    const voice = voiceOf(context, command);
    const found = await withInvoke(context, 'look', (invoke) => invoke('getIncidentRunbook', { id }));
    voice.result(found, () => runbookText(voice, found));
  });
}

interface OpenOptions {
  readonly region?: readonly string[];
  readonly version?: string;
  readonly run?: string;
  readonly title: string;
}

function addOpen(incident: Command, context: Context): void {
  const command = leaf(
    incident,
    'open <job>',
    'Open an incident for what you have noticed, or join the one of that job that is not closed. It stops nothing: kill does.',
    [
      'portcullis incident open domain-claim --run 3f2a9c1e --title "claims nobody asked for"',
      'portcullis incident open domain-claim --region eu-west-1 --title "customers call"',
    ],
  )
    .option('-r, --region <region...>', 'where; default: the region of the run, or all')
    .option('--version <version>', 'the version to blame; default: that of the run, if any')
    .option('--run <run>', 'the first bad run: it and those after it belong to the incident')
    .requiredOption('--title <title>', 'what happened, in one line')
    .action(async (job: string, { region: regions, version, run, title }: OpenOptions) => {
      const voice = voiceOf(context, command);
      const opened = await withInvoke(context, 'change', (invoke) =>
        invoke('openIncident', { job, version, regions: regions && [...regions], run, title }),
      );
      voice.result(opened, () =>
        opened.joined
          ? `joined ${opened.id}, which is not closed yet\n`
          : `opened ${opened.id}\nwhat to do now: portcullis incident runbook ${opened.id}\n`,
      );
    });
}

function addInclude(incident: Command, context: Context): void {
  const command = leaf(
    incident,
    'include <incident> [run]',
    'Name damage: a bad run, and those after it in its region; or every run since a time. Impact and restore count them.',
    [
      'portcullis incident include k3v7qa2m 3f2a9c1e',
      'portcullis incident include k3v7qa2m --since 2026-03-01T09:30:00Z --reason "first complaint"',
    ],
  )
    .option('--since <time>', 'every run elected at that time (UTC) or later, up to the kill')
    .option('-r, --region <region...>', 'with --since: only in these regions of the incident')
    .option('--reason <text>', 'why, for the record', reasonOption)
    .action(async (id: string, runId: string | undefined, { since, region, reason }: IncludeOptions) => {
      if ((runId === undefined) === (since === undefined) || (runId !== undefined && region !== undefined)) {
        throw new PortcullisError('USAGE_INVALID', 'give either a run or --since', {
          hint: `portcullis incident include ${id} RUN, or --since 2026-03-01T09:30:00Z`,
        });
      }
      const voice = voiceOf(context, command);
      const found = await withInvoke(context, 'change', (invoke) =>
        invoke('includeRun', {
          ...{ id, run: runId, since: since === undefined ? undefined : instant(since).toISOString() },
          ...{ regions: region && [...region], reason },
        }),
      );
      voice.result(found, () => incidentsText(voice, [found]));
    });
}

interface IncludeOptions {
  readonly since?: string;
  readonly region?: readonly string[];
  readonly reason?: string;
}

function addClose(incident: Command, context: Context): void {
  const command = leaf(
    incident,
    'close <incident>',
    'Close an incident for good. One whose job may still write somewhere closes only as a false alarm.',
    [
      'portcullis incident close k3v7qa2m --conclusion "a join lost its condition in 1.1.0"',
      'portcullis incident close k3v7qa2m --false-alarm --conclusion "the claims were asked for"',
    ],
  )
    .requiredOption('--conclusion <text>', 'what was wrong, for the record and the post-mortem', reasonOption)
    .option('--false-alarm', 'nothing was wrong')
    .action(async (id: string, options: { conclusion: string; falseAlarm?: boolean }) => {
      const voice = voiceOf(context, command);
      const { conclusion, falseAlarm = false } = options;
      const closed = await withInvoke(context, 'change', (invoke) =>
        invoke('closeIncident', { id, conclusion, falseAlarm }),
      );
      voice.result(closed, () => incidentsText(voice, [closed]));
    });
}

function addExport(incident: Command, context: Context): void {
  const command = leaf(
    incident,
    'export <incident>',
    'Write a draft of the post-mortem: summary, figures, impact, detection, timeline and remedies. Or the updates for a status page.',
    [
      'portcullis incident export k3v7qa2m --format md > post-mortem.md',
      'portcullis incident export k3v7qa2m --format status',
    ],
  )
    .addOption(
      new Option(
        '-f, --format <format>',
        'md: the post-mortem in Markdown; status: updates for a status page',
      )
        .choices(['md', 'status'])
        .default('md'),
    )
    .action(async (id: string, { format }: { format: 'md' | 'status' }) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'look', async (invoke) => {
        if (format === 'status') {
          const { id: named, updates } = await invoke('getIncidentStatusUpdates', { id });
          voice.result({ id: named, updates }, () =>
            updates.length === 0
              ? 'No status update: nobody has named damage\n'
              : updates.map(({ phase, at, text }) => `${time(at)}  ${phase}\n${text}\n`).join('\n'),
          );
          return;
        }
        const markdown = await invoke('getIncidentPostMortem', { id });
        voice.result({ id: id.trim().toLowerCase(), markdown }, () => markdown);
      });
    });
}
