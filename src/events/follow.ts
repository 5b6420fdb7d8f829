import { setTimeout } from 'node:timers/promises';
import { startPoller, type Poller } from '../kernel/poller.js';
import { within } from '../kernel/within.js';
import { type EventFilter, headOf, type Outbox } from './outbox.js';
import { type EventPage, readEvents } from './read-events.js';

/** How soon news is noticed. */
const LOOK_MS = 250;
/** How long one database may take to say whether it has any: one behind a lost network must not keep the others' back. */
const ANSWER_MS = 1_000;
/** How long a follower hears nothing at most: proxies end connections that are silent for longer. */
const HEARTBEAT_MS = 15_000;
/** The most events in one page. */
const PAGE = 200;
/** So many ids are remembered, to answer no event twice. */
const REMEMBERED = 5_000;

/** Looks for news four times a second for all who follow, and not at all while nobody does. */
export class EventFeed {
  readonly #outboxes: () => readonly Outbox[];
  readonly #heads = new Map<string, string>();
  #wake = (): void => undefined;
  #news = this.#nextNews();
  #tell = (): void => undefined;
  #looked = this.#nextLook();
  #followers = 0;
  readonly #ended = new AbortController();
  #beat: Poller | undefined;

  constructor(outboxes: () => readonly Outbox[]) {
    this.#outboxes = outboxes;
  }

  get followers(): number {
    return this.#followers;
  }

  /**
   * Answers events until the signal is aborted or the feed ends: a page where there is news, and one without any at least
   * every 15 s. Each event once, whatever readEvents repeats.
   */
  async *follow(
    filter: EventFilter,
    cursor: string | undefined,
    until: AbortSignal,
  ): AsyncGenerator<EventPage, void> {
    const signal = AbortSignal.any([until, this.#ended.signal]);
    this.#followers += 1;
    this.#beat ??= startPoller(
      LOOK_MS,
      () => this.#look(),
      () => undefined,
    );
    try {
      const seen = new Set<string>();
      let at = cursor;
      while (!signal.aborted) {
        // Before the reading, so that none is missed between the two.
        const news = this.#news;
        const page = await readEvents(this.#outboxes(), filter, { limit: PAGE, cursor: at });
        at = page.next;
        const items = page.items.filter(({ id }) => !seen.has(id));
        for (const { id } of items) seen.add(id);
        for (const id of seen) if (seen.size > REMEMBERED) seen.delete(id);
        yield { ...page, items };
        if (items.length === PAGE) continue;
        const rest = new AbortController();
        const end = AbortSignal.any([signal, rest.signal]);
        await Promise.race([news, setTimeout(HEARTBEAT_MS, undefined, { signal: end })]).catch(
          () => undefined,
        );
        rest.abort();
      }
    } finally {
      this.#followers -= 1;
      if (this.#followers === 0) {
        const beat = this.#beat;
        this.#beat = undefined;
        await beat.stop();
      }
    }
  }

  /** Resolves when some database has said next whether it has news: until then, nothing shows that what is known is current. */
  looked(): Promise<void> {
    return this.#looked;
  }

  /** Ends every answer that goes on. */
  end(): void {
    this.#ended.abort();
  }

  #nextNews(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  #nextLook(): Promise<void> {
    return new Promise((resolve) => (this.#tell = resolve));
  }

  async #look(): Promise<void> {
    const outboxes = this.#outboxes();
    const late = (): Error => new Error('no answer in time');
    const heads = await Promise.allSettled(
      outboxes.map((outbox) => within(ANSWER_MS, () => headOf(outbox), late)),
    );
    let news = false;
    for (const [at, { name }] of outboxes.entries()) {
      const found = heads[at];
      // That a database answers no longer, or again, is news too: reading says which.
      const head = found?.status === 'fulfilled' ? found.value : 'away';
      if (this.#heads.get(name) === head) continue;
      this.#heads.set(name, head);
      news = true;
    }
    if (heads.some(({ status }) => status === 'fulfilled')) {
      const tell = this.#tell;
      this.#looked = this.#nextLook();
      tell();
    }
    if (!news) return;
    const wake = this.#wake;
    this.#news = this.#nextNews();
    wake();
  }
}
