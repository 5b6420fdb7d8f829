import { computed, signal } from '@preact/signals';
import { SESSION_ENDED, signedOut } from '../api.js';
import { followStream, type Change } from './stream.js';
import { Tabs, type Said } from './tabs.js';

/** How old the last sign of life may be. The server gives one every second. */
const LIVE_MS = 2_300;

/** What the tab with the stream tells the others. */
interface News {
  readonly changes: readonly Change[];
  readonly lost: boolean;
  readonly cursor: string | undefined;
  /** When the server was last heard, by the browser's clock. */
  readonly heardMs: number;
}

const heardMs = signal(0);
const checkedMs = signal(Date.now());

/** Whether what changes is told now. */
export const isLive = computed(() => checkedMs.value - heardMs.value <= LIVE_MS);
/** When the server was last heard, in milliseconds since 1970; 0: never. */
export const lastHeardMs = computed(() => heardMs.value);

type Listener = (changes: readonly Change[], lost: boolean) => void;
const listeners = new Set<Listener>();

/** Hears what changes, until the answer is called. `lost`: not all of it is known, so that everything is to be read again. */
export function onChanges(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

let cursor: string | undefined;
let follow: AbortController | undefined;
type Pending = Pick<News, 'changes' | 'lost'>;
const NOTHING: Pending = { changes: [], lost: false };
let pending = NOTHING;

const channel = new BroadcastChannel('portcullis');
const tabs = new Tabs<News>({
  id: `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`,
  say: (said) => channel.postMessage(said),
  news: () => ({ ...pending, cursor, heardMs: heardMs.value }),
  heard: (news) => {
    cursor = news.cursor ?? cursor;
    hearFrom(news.heardMs);
    if (news.changes.length > 0 || news.lost) tell(news.changes, news.lost);
  },
  begin: () => {
    follow = new AbortController();
    void followStream(
      {
        cursor: () => cursor,
        alive: () => {
          hearFrom(Date.now());
          tabs.beat();
        },
        changes: (changes, next, lost) => {
          cursor = next;
          if (changes.length > 0 || lost) broadcast(changes, lost);
        },
        refused: () => {
          signedOut(SESSION_ENDED);
          shareSignOut(SESSION_ENDED);
        },
      },
      follow.signal,
    );
  },
  end: () => follow?.abort(),
});
channel.onmessage = ({ data }: MessageEvent<Said<News>>) => tabs.hear(data);

function hearFrom(ms: number): void {
  heardMs.value = Math.max(heardMs.value, ms);
  checkedMs.value = Date.now();
}

function broadcast(changes: readonly Change[], lost: boolean): void {
  pending = { changes, lost };
  tabs.beat();
  pending = NOTHING;
  tell(changes, lost);
}

function tell(changes: readonly Change[], lost: boolean): void {
  for (const listener of listeners) listener(changes, lost);
}

const signOuts = new BroadcastChannel('portcullis-sign-out');
signOuts.onmessage = ({ data }: MessageEvent<string>) => signedOut(data);

/** Tells the other tabs that nobody is signed in any more, and why. */
export function shareSignOut(because: string): void {
  signOuts.postMessage(because);
}

let signedIn = false;

function look(): void {
  if (signedIn && document.visibilityState === 'visible') tabs.show();
  else tabs.hide();
}

/** Follows what changes while somebody is signed in and sees the page. */
export function followWhile(isSignedIn: boolean): void {
  signedIn = isSignedIn;
  if (!isSignedIn) cursor = undefined;
  look();
}

document.addEventListener('visibilitychange', look);
addEventListener('pagehide', () => tabs.hide());
addEventListener('pageshow', look);
// A page that is frozen runs no timers, and would keep the stream for itself.
document.addEventListener('freeze', () => tabs.hide());
document.addEventListener('resume', look);
setInterval(() => {
  checkedMs.value = Date.now();
  tabs.beat();
}, 500);
