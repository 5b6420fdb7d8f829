import { Option, type Command } from 'commander';
import { requireMay } from '../../access/roles.js';
import { countOf, time } from '../../base/words.js';
import {
  ALERT_STATES,
  clearAlert,
  listAlerts,
  type AlertState,
  type AlertView,
} from '../../guard/bake/browse-alerts.js';
import { actingPrincipal, requireActing } from '../acting.js';
import { voiceOf, withInstallation, withLook, type Context, type Voice } from '../context.js';
import { group, leaf } from '../leaf.js';
import { reasonOption } from '../reason-option.js';
import type { Tone } from '../tone.js';
import { limitUpTo, listUpTo } from '../up-to.js';

const MOST = 10_000;

export function addAlerts(program: Command, context: Context): void {
  const alerts = group(program, 'alerts', 'Alerts: what Alertmanager sent, and what of it still fires.');
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
    .addOption(new Option('-s, --state <state>', 'only in this state').choices(ALERT_STATES))
    .option('-j, --job <job>', 'only of this job')
    .option('-n, --limit <alerts>', `the most to list, 1 to ${MOST}`, limitUpTo(MOST), 20)
    .action(async ({ state, job, limit }: ListOptions) => {
      const voice = voiceOf(context, command);
      await withLook(context, async (installation) => {
        await requireActing(context, installation, 'read');
        const found = await listUpTo(limit, (page) => listAlerts(installation.control, { state, job }, page));
        voice.result({ alerts: found }, () => listText(voice, found));
      });
    });
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
      await withInstallation(context, async (installation) => {
        const principal = await actingPrincipal(context, installation);
        const cleared = await clearAlert(installation.control, id, {
          by: principal.name,
          reason,
          requireMay: (region) => requireMay(principal, 'manage-incident', region),
        });
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

function listText(voice: Voice, alerts: readonly AlertView[]): string {
  if (alerts.length === 0) return 'No alerts\n';
  const titles = ['id', 'received', 'alert', 'job', 'regions', 'state', 'fires until', 'cleared by'];
  return voice.table(
    titles.map((title) => ({ title })),
    alerts.map(({ id, receivedAt, name, job, regions, state, firesUntil, clearedBy }) => [
      ...[id, time(receivedAt), name, job, regions.join(', ')],
      { text: state, tone: TONES[state] },
      state === 'firing' ? time(firesUntil) : '–',
      clearedBy ?? '–',
    ]),
  );
}
