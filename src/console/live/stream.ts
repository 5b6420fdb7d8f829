import type { Output } from '../api.js';
import { frameReader } from './frames.js';

export type Change = Output<'listEvents'>['items'][number];

export interface StreamOptions {
  /** Where to go on; undefined: from now on. */
  cursor(): string | undefined;
  /** Anything came: the server is there, and what it told is current. */
  alive(): void;
  /** What changed, and where to go on after it. `lost`: some changes are not known. */
  changes(changes: readonly Change[], cursor: string, lost: boolean): void;
  /** Nobody is signed in any more. */
  refused(): void;
}

const AGAIN_MS = 500;
const AGAIN_MOST_MS = 4_000;
/** A server says something every second: one that is silent for so long is asked again. */
const SILENT_MS = 4_000;

/** Follows the event stream until the signal is aborted, and comes again wherever it is cut off. */
export async function followStream(options: StreamOptions, signal: AbortSignal): Promise<void> {
  let wait = AGAIN_MS;
  while (!signal.aborted) {
    const cut = new AbortController();
    const abort = (): void => cut.abort();
    signal.addEventListener('abort', abort);
    try {
      const answer = await once(options, cut);
      if (answer === 'refused') {
        options.refused();
        return;
      }
      if (answer === 'ended') wait = AGAIN_MS;
    } catch {
      // Cut off, or nobody there: that nothing comes is seen by its age.
    } finally {
      signal.removeEventListener('abort', abort);
      cut.abort();
    }
    await rest(wait, signal);
    wait = Math.min(wait * 2, AGAIN_MOST_MS);
  }
}

async function once(options: StreamOptions, cut: AbortController): Promise<'refused' | 'failed' | 'ended'> {
  let watch = setTimeout(() => cut.abort(), SILENT_MS);
  const stillThere = (): void => {
    clearTimeout(watch);
    watch = setTimeout(() => cut.abort(), SILENT_MS);
  };
  try {
    const cursor = options.cursor();
    const query = cursor === undefined ? '' : `?cursor=${encodeURIComponent(cursor)}`;
    const response = await fetch(`/api/v1/events/stream${query}`, {
      headers: { accept: 'text/event-stream' },
      signal: cut.signal,
    });
    if (response.status === 401) return 'refused';
    if (!response.ok || response.body === null) return 'failed';
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const read = frameReader();
    let changes: Change[] = [];
    // Without a cursor nobody knows what changed until now.
    let lost = cursor === undefined;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return 'ended';
      stillThere();
      options.alive();
      for (const { event, data, id } of read(value)) {
        if (event === 'change') changes.push(JSON.parse(data) as Change);
        // A database that is lost, or away, or back: what is shown of it may be old.
        if (event === 'gap') lost = true;
        if (id === undefined) continue;
        options.changes(changes, id, lost);
        changes = [];
        lost = false;
      }
    }
  } finally {
    clearTimeout(watch);
  }
}

function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
