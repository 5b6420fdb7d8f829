import type { Command } from 'commander';
import type { Confirmed } from '../../gate/database.js';
import type { DatabaseView } from '../../regions/databases.js';
import { time } from '../../kernel/words.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { listUpTo } from '../../client/client.js';
import { reasonOption } from '../reason-option.js';

export function addDatabase(program: Command, context: Context): void {
  const database = group(
    program,
    'database',
    'Show and confirm which databases regions have, after a failover.',
  );
  addShow(database, context);
  addConfirm(database, context);
}

function addShow(parent: Command, context: Context): void {
  const command = leaf(parent, 'show', 'Show each region database, and whether a person has confirmed it.', [
    'portcullis database show',
  ]).action(async () => {
    const voice = voiceOf(context, command);
    let unreachable: readonly string[] = [];
    const { items: databases } = await withInvoke(context, 'look', (invoke) =>
      listUpTo(Infinity, async (page) => {
        const found = await invoke('listDatabases', page);
        unreachable = found.unreachable;
        return found;
      }),
    );
    voice.result({ databases, unreachable }, () => databasesText(voice, databases));
    for (const each of unreachable) voice.note(`${each} cannot be reached`);
  });
}

interface ConfirmOptions {
  readonly region?: string;
  readonly reason: string;
  readonly switchover?: boolean;
}

function addConfirm(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'confirm',
    'Let runs and restores write to a database that is another one than before: after a failover to a replica, or a recovery from a backup. First kill again what must stay killed.',
    [
      'portcullis database confirm --reason "promoted db2; incident 3fk2m7qa lists what was lost"',
      'portcullis database confirm --switchover --reason "planned switchover to db2 tonight"',
    ],
  )
    .option('-r, --region <region>', 'a region of the database, where there are several databases')
    .option('--switchover', 'beforehand: the database that a planned switchover within the hour leads to')
    .requiredOption('--reason <reason>', 'why, for the record', reasonOption)
    .action(async ({ region, reason, switchover = false }: ConfirmOptions) => {
      const voice = voiceOf(context, command);
      const confirmed = await withInvoke(context, 'change', (invoke) =>
        invoke('confirmDatabase', { region, reason, switchover }),
      );
      voice.result(confirmed, () => confirmedText(confirmed));
    });
}

function confirmedText({ identity, was, expiresAt }: Confirmed): string {
  return expiresAt === null
    ? `database ${identity} is confirmed; before it was ${was ?? 'unknown'}\ngates open when their flags say so; killed gates stay killed\n`
    : `database ${identity} is confirmed beforehand, until ${time(expiresAt)}\na replica that is promoted by then takes over without a stop, if it has received this confirmation\n`;
}

export function databasesText(voice: Voice, databases: readonly DatabaseView[]): string {
  const titles = ['database', 'identity', 'state', 'confirmed', 'at'];
  return voice.table(
    titles.map((title) => ({ title })),
    databases.map(({ database, identity, confirmed, hidden, last, lastConfirmedAt }) => [
      database,
      identity,
      confirmed
        ? {
            text: hidden ? 'confirmed; a failover goes unnoticed' : 'confirmed',
            tone: hidden ? 'warning' : 'good',
          }
        : { text: 'unconfirmed: nothing is written', tone: 'bad' },
      last ?? '–',
      lastConfirmedAt === null ? '–' : time(lastConfirmedAt),
    ]),
  );
}
