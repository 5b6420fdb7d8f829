import type { Command } from 'commander';
import { countOf, time } from '../../kernel/words.js';
import { ALERT_STATES, type AlertState, type AlertView } from '../../guard/bake/browse-alerts.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { jobOption, limitOption, showList, stateOption } from '../listing.js';
import { reasonOption } from '../reason-option.js';
import type { Tone } from '../tone.js';

export function addAlerts(program: Command, context: Context): void {
  const alerts = group(program, 'alerts', 'List and clear the alerts that Alertmanager has sent.');
  addList(alerts, context);
  addClear(alerts, context);
}

interface ListOptions {
  readonly state?: AlertState;
  readonly job?: string;
  readonly limit: number;
}

function addList(parent: Command, context: Context): void {
  const command = leaf(parent, 'list', 'List the alerts that were received, newest first.', [
    'portcullis alerts list --state firing',
    'portcullis alerts list --job domain-claim --json',
  ])
    .addOption(stateOption(ALERT_STATES))
    .addOption(jobOption())
    .addOption(limitOption('alerts'))
    .action(({ state, job, limit }: ListOptions) =>
      showList(context, command, {
        ...{ as: 'alerts', limit, text: alertsText },
        pageOf: (invoke, page) => invoke('listAlerts', { state, job, ...page }),
      }),
    );
}

function addClear(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'clear <id>',
    'Clear a firing alert, so that it aborts no rollout. Re-arms nothing.',
    ['portcullis alerts clear 00c0ffee00c0ffee --reason "the exporter was broken"'],
  )
    .requiredOption('-r, --reason <text>', 'why, for the record', reasonOption)
    .action(async (id: string, { reason }: { reason: string }) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'change', async (invoke) => {
        const cleared = await invoke('clearAlert', { id, reason });
        voice.result(
          cleared,
          () => `${cleared.name} is cleared in ${countOf(cleared.regions.length, 'region')}\n`,
        );
      });
    });
}

const TONES: Readonly<Record<AlertState, Tone>> = {
  firing: 'bad',
  resolved: 'good',
  expired: 'quiet',
  cleared: 'good',
};

export function alertsText(voice: Voice, alerts: readonly AlertView[]): string {
  if (alerts.length === 0) return 'No alerts\n';
  return voice.table(
    [
      ...[{ title: 'id' }, { title: 'received', below: 2 }, { title: 'alert' }, { title: 'job', below: 5 }],
      ...[{ title: 'regions', below: 3 }, { title: 'state' }, { title: 'fires until', below: 4 }],
      { title: 'cleared by', below: 1 },
    ],
    alerts.map(({ id, receivedAt, name, job, regions, state, firesUntil, clearedBy }) => [
      ...[id, time(receivedAt), name, job, regions.join(', ')],
      { text: state, tone: TONES[state] },
      state === 'firing' ? time(firesUntil) : '–',
      clearedBy ?? '–',
    ]),
  );
}
