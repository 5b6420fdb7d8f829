import { InvalidArgumentError, Option, type Command } from 'commander';
import { listUpTo } from '../client/client.js';
import type { Page, PageRequest } from '../postgres/page.js';
import { voiceOf, type Context, type Voice } from './context.js';
import { withInvoke, type Invoke } from './invoke.js';

const MOST = 10_000;
const USUAL = 20;

/** `-n, --limit`: how many `items` to list. */
export function limitOption(items: string): Option {
  return new Option(`-n, --limit <${items}>`, `the most to list, 1 to ${MOST}`)
    .argParser(limitUpToMost)
    .default(USUAL);
}

function limitUpToMost(text: string): number {
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MOST) return limit;
  throw new InvalidArgumentError(`A limit is a whole number from 1 to ${MOST}.`);
}

/** `-s, --state`: only items in one of these states. */
export function stateOption(states: readonly string[], says = 'only in this state'): Option {
  return new Option('-s, --state <state>', says).choices(states);
}

/** `-j, --job`. */
export function jobOption(): Option {
  return new Option('-j, --job <job>', 'only of this job');
}

/** A list that an operation answers in pages, and how it is shown. */
interface Listing<Item> {
  /** The name that the items have in JSON. */
  readonly as: string;
  readonly limit: number;
  readonly pageOf: (invoke: Invoke, page: PageRequest) => Promise<Page<Item>>;
  readonly text: (voice: Voice, items: readonly Item[]) => string;
}

/** Shows the first items of a list. */
export async function showList<Item>(
  context: Context,
  command: Command,
  { as, limit, pageOf, text }: Listing<Item>,
): Promise<void> {
  const voice = voiceOf(context, command);
  const { items } = await withInvoke(context, 'look', (invoke) =>
    listUpTo(limit, (page) => pageOf(invoke, page)),
  );
  voice.result({ [as]: items }, () => text(voice, items));
}
