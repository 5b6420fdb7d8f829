import { setTimeout } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { EVENT_KINDS, type EventKind } from '../../events/outbox.js';
import { countOf, time } from '../../kernel/words.js';
import type { Operations } from '../../operations/list.js';
import type { OutputOf } from '../../operations/operation.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { instant } from '../instant.js';
import { interruptible } from '../interrupt.js';
import { withInvoke, type Invoke } from '../invoke.js';
import { leaf } from '../leaf.js';
import { jobOption, limitOption } from '../listing.js';
import { Table, type Row } from '../table.js';
import { toneOf } from '../tone.js';

type Events = OutputOf<Operations['listEvents']>;
type Event = Events['items'][number];

interface EventOptions {
  readonly job?: string;
  readonly region?: string;
  readonly kind?: EventKind;
  readonly since?: Date;
  readonly limit: number;
  readonly follow?: true;
}

const USUAL_MS = 3_600_000;
const LOOK_MS = 1_000;
const PAGE = 200;

export function addEvents(program: Command, context: Context): void {
  const command = leaf(
    program,
    'events',
    'List what changed in any database: runs, gates, flags, admissions, rollouts, requests, incidents. Kept for 24 hours.',
    [
      'portcullis events --follow',
      'portcullis events --kind gate --region eu-west-1',
      'portcullis events --since 2026-03-01T09:30:00Z --json',
    ],
  )
    .addOption(jobOption())
    .option('--region <region>', 'only in this region')
    .addOption(new Option('--kind <kind>', 'only of this kind').choices(EVENT_KINDS))
    .option('--since <time>', 'only from this moment on (default: the last hour)', instant)
    .addOption(limitOption('events'))
    .option('-f, --follow', 'go on with what changes from now on, until Ctrl-C; with --json one event a line')
    .action(async ({ follow, limit, since, ...filter }: EventOptions) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'look', async (invoke) => {
        const from = (since ?? new Date(Date.now() - USUAL_MS)).toISOString();
        const read = await readAll(invoke, { ...filter, since: from });
        const events = read.events.slice(-limit);
        tellMissing(voice, read.last);
        if (follow !== true) {
          voice.result({ events, next: read.last.next, unreachable: read.last.unreachable }, () =>
            events.length === 0 ? `No events since ${time(from)}\n` : voice.table(COLUMNS, events.map(rowOf)),
          );
          return;
        }
        const show = shower(context, voice, events);
        for (const event of events) show(event);
        const known = new Set(read.events.map(({ id }) => id));
        await interruptible(context.io, (interrupted) =>
          goOn(invoke, { filter, cursor: read.last.next, known, show }, interrupted),
        );
      });
    });
}

type Filter = Pick<EventOptions, 'job' | 'region' | 'kind'>;

/** Everything since a moment, each event once. */
async function readAll(
  invoke: Invoke,
  filter: Filter & { readonly since: string },
): Promise<{ readonly events: readonly Event[]; readonly last: Events }> {
  const events = new Map<string, Event>();
  let cursor: string | undefined;
  for (;;) {
    const last = await invoke('listEvents', { ...filter, cursor, limit: PAGE });
    const before = events.size;
    for (const event of last.items) events.set(event.id, event);
    // What is repeated waits for a transaction that is under way: there is nothing behind it yet.
    if (last.items.length < PAGE || events.size === before) return { events: [...events.values()], last };
    cursor = last.next;
  }
}

interface Following {
  readonly filter: Filter;
  readonly cursor: string;
  readonly known: Set<string>;
  readonly show: (event: Event) => void;
}

async function goOn(
  invoke: Invoke,
  { filter, cursor, known, show }: Following,
  end: AbortSignal,
): Promise<void> {
  let at = cursor;
  while (!end.aborted) {
    const { items, next } = await invoke('listEvents', { ...filter, cursor: at, limit: PAGE });
    for (const event of items) if (!known.has(event.id)) show(event);
    // Only what is not settled yet is repeated, and then by the very next answers.
    known.clear();
    for (const { id } of items) known.add(id);
    at = next;
    if (items.length < PAGE) await setTimeout(LOOK_MS, undefined, { signal: end }).catch(() => undefined);
  }
}

function tellMissing(voice: Voice, { unreachable, lost }: Events): void {
  if (unreachable.length > 0)
    voice.note(
      `without the events of ${countOf(unreachable.length, 'database')} that could not be asked: ${unreachable.join(', ')}`,
    );
  if (lost.length > 0) voice.note(`older events are gone of ${lost.join(', ')}`);
}

const COLUMNS = [{ title: 'at' }, { title: 'what' }, { title: 'job' }, { title: 'region' }, { title: 'now' }];

/** Shows one event after the other, below the titles. */
function shower({ io }: Context, voice: Voice, first: readonly Event[]): (event: Event) => void {
  if (voice.json) return (event) => voice.result(event, () => '');
  const likely: Row = ['', 'quarantine-lifted', '', '', ''];
  const table = new Table(COLUMNS, [likely, ...first.map(rowOf)], voice.tableOptions());
  io.stdout.write(`${table.head()}\n`);
  return (event) => io.stdout.write(voice.printable(`${table.row(rowOf(event))}\n`));
}

function rowOf({ at, kind, job, region, subject, data }: Event): Row {
  const { state, status, enabled, ...rest } = data;
  const flag = enabled === undefined ? undefined : enabled === true ? 'on' : 'off';
  const now = [state, status, flag].find((each): each is string => typeof each === 'string');
  const facts = Object.entries(rest).filter(
    ([, value]) => value !== null && value !== false && value !== now,
  );
  const text = [
    ...(now === undefined ? [] : [now]),
    ...(subject === null ? [] : [subject]),
    ...facts.map(([name, value]) => `${wordsOf(name)} ${String(value)}`),
  ].join(', ');
  return [time(at), kind, job ?? '–', region ?? '–', { text, tone: toneOf(now ?? '') }];
}

const wordsOf = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
