import type { ComponentType } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { SIGNED_OUT, me, signOut } from './api.js';
import { ApproveAloneDialog, DecideDialog } from './acts/decide.js';
import { KillDialog } from './acts/kill.js';
import { RearmDialog } from './acts/rearm.js';
import { lazily } from './parts/lazy.js';
import { SteerDialog } from './acts/steer.js';
import { closeDialog, dialog } from './dialogs.js';
import { keepFocus } from './focus.js';
import { KeysDialog, onKeyDown } from './keys.js';
import { isLive, lastHeardMs, shareSignOut } from './live/live.js';
import { Palette } from './palette.js';
import { Link, match, place } from './router.js';
import { Wordmark } from './sign-in.js';
import { nextTheme, setTheme, theme } from './theme.js';
import { clock, localTime, nowMs, span } from './time.js';
import { VIEWS } from './views.js';

const dialogOf = <Props extends object>(load: () => Promise<ComponentType<Props>>) =>
  lazily(load, { isDialog: true });
const RestoreDialog = dialogOf(async () => (await import('./acts/restore.js')).RestoreDialog);
const StartRolloutDialog = dialogOf(async () => (await import('./acts/start-rollout.js')).StartRolloutDialog);
const FlagDialog = dialogOf(async () => (await import('./acts/flag.js')).FlagDialog);
const notifyActs = () => import('./acts/notify.js');
const TestNotificationDialog = dialogOf(async () => (await notifyActs()).TestNotificationDialog);
const RetryNotificationDialog = dialogOf(async () => (await notifyActs()).RetryNotificationDialog);
const incidentActs = () => import('./acts/incident.js');
const RestoreIncidentDialog = dialogOf(async () => (await incidentActs()).RestoreIncidentDialog);
const CloseIncidentDialog = dialogOf(async () => (await incidentActs()).CloseIncidentDialog);
const IncludeRunDialog = dialogOf(async () => (await incidentActs()).IncludeRunDialog);
const OpenIncidentDialog = dialogOf(async () => (await incidentActs()).OpenIncidentDialog);

/** What every screen stands in: where one is, whether it is live, and the kill. */
export function Shell() {
  const { path } = place.value;
  const view = VIEWS.find(({ patterns }) => patterns.some((pattern) => match(pattern, path) !== undefined));
  const title = view?.title ?? 'Not found';
  useEffect(() => {
    document.title = `${title} · Portcullis`;
  }, [title]);
  useEffect(() => {
    addEventListener('keydown', onKeyDown);
    return () => removeEventListener('keydown', onKeyDown);
  }, []);
  // A dialog is about the screen under it: whoever goes elsewhere, also by Back, leaves it.
  useEffect(() => closeDialog, [path]);
  const main = useRef<HTMLElement>(null);
  useEffect(() => (main.current === null ? undefined : keepFocus(main.current)), []);
  const from = useRef(path);
  useEffect(() => {
    // The link that was followed may be gone with its screen: Tab and a screen reader go on in the new one.
    if (from.current !== path && document.activeElement === document.body) main.current?.focus();
    from.current = path;
  }, [path]);
  const top = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    const bar = top.current;
    if (bar === null) return;
    // What stands beside the page begins below the bar, which stays in reach.
    const observer = new ResizeObserver(() =>
      document.documentElement.style.setProperty('--top', `${bar.offsetHeight}px`),
    );
    observer.observe(bar);
    return () => observer.disconnect();
  }, []);
  return (
    <>
      <a class="skip" href="#main">
        To the content
      </a>
      <header class="top" ref={top}>
        <Link to="/" class="home" aria-label="Portcullis: now">
          <Wordmark />
        </Link>
        <nav aria-label="Screens">
          {VIEWS.filter(({ unlisted }) => unlisted !== true).map((each) => (
            <Link key={each.title} to={each.patterns[0]} aria-current={each === view ? 'page' : undefined}>
              {each.title}
            </Link>
          ))}
        </nav>
        <span class="spring" />
        <Liveness />
        <button type="button" class="find" onClick={() => (dialog.value = { kind: 'palette' })}>
          <span>Find</span> <kbd>Ctrl K</kbd>
        </button>
        <button type="button" class="danger" onClick={() => (dialog.value = { kind: 'kill' })}>
          Kill…
        </button>
        <Person />
      </header>
      <main id="main" ref={main} tabIndex={-1} class={isLive.value ? 'live' : 'not-live'}>
        {view === undefined ? <NotFound path={path} /> : <view.Screen />}
      </main>
      <OpenDialog />
    </>
  );
}

/** Whether what is shown is current; where it is not, since when. */
function Liveness() {
  const live = isLive.value;
  const heard = lastHeardMs.value;
  return (
    <p class={live ? 'liveness' : 'liveness liveness-off'} role="status">
      <svg viewBox="0 0 10 10" aria-hidden="true">
        {live ? (
          <circle cx="5" cy="5" r="4" fill="currentColor" />
        ) : (
          <path d="M2 2l6 6M8 2l-6 6" stroke="currentColor" stroke-width="2" />
        )}
      </svg>
      {live ? (
        <>
          Live <Clock />
        </>
      ) : heard === 0 ? (
        'Connecting…'
      ) : (
        <>
          Not live since <time title={localTime(heard)}>{clock(heard)}</time> UTC
          <Silence since={heard} />
        </>
      )}
    </p>
  );
}

/** Every second, and so not told by a screen reader. */
function Clock() {
  return (
    <time aria-hidden="true" title={localTime(nowMs.value)}>
      {clock(nowMs.value)}
      <span class="quiet"> UTC</span>
    </time>
  );
}

function Silence({ since }: { readonly since: number }) {
  return (
    <span aria-hidden="true" class="quiet">
      {' '}
      ({span(nowMs.value - since)})
    </span>
  );
}

const letters = new Intl.Segmenter('en', { granularity: 'grapheme' });

function initialOf(name: string): string {
  const [first] = letters.segment(name);
  return first?.segment.toUpperCase() ?? '';
}

function Person() {
  const person = me.value;
  if (person == null) return null;
  const out = async (): Promise<void> => {
    const next = await signOut();
    shareSignOut(SIGNED_OUT);
    if (next !== undefined) location.assign(next);
  };
  return (
    <details class="person">
      <summary aria-label={`Signed in as ${person.person ?? person.name}`}>
        <span class="initial" aria-hidden="true">
          {initialOf(person.person ?? person.name)}
        </span>
        <span class="person-name">{person.person ?? person.name}</span>
      </summary>
      <div class="menu">
        <p>
          <strong>{person.person ?? person.name}</strong>
          <br />
          <span class="quiet">
            {person.role}
            {person.regions === null ? ', every region' : `, in ${person.regions.join(', ')}`}
          </span>
        </p>
        {person.session !== null && (
          <p class="quiet">
            Signed in until {clock(Date.parse(person.session.expiresAt))} UTC, longer while you use it
          </p>
        )}
        <button type="button" onClick={() => setTheme(nextTheme(theme.value))}>
          Theme: {theme.value}
        </button>
        <button type="button" onClick={() => (dialog.value = { kind: 'keys' })}>
          Keys
        </button>
        <button type="button" onClick={() => void out()}>
          Sign out
        </button>
      </div>
    </details>
  );
}

function NotFound({ path }: { readonly path: string }) {
  return (
    <section class="empty">
      <h1>Not found</h1>
      <p>
        The console has no screen at <code>{path}</code>. <Link to="/">See every gate</Link>
      </p>
    </section>
  );
}

function OpenDialog() {
  const open = dialog.value;
  switch (open?.kind) {
    case 'kill':
      return <KillDialog job={open.job} region={open.region} everything={open.everything} />;
    case 'rearm':
      return <RearmDialog job={open.job} region={open.region} />;
    case 'decide':
      return open.decision === 'approveAlone' ? (
        <ApproveAloneDialog request={open.request} />
      ) : (
        <DecideDialog request={open.request} decision={open.decision} />
      );
    case 'steer':
      return <SteerDialog rollout={open.rollout} steer={open.steer} />;
    case 'start-rollout':
      return <StartRolloutDialog job={open.job} />;
    case 'restore':
      return <RestoreDialog run={open.run} part={open.part} />;
    case 'restore-incident':
      return <RestoreIncidentDialog incident={open.incident} />;
    case 'close-incident':
      return <CloseIncidentDialog incident={open.incident} />;
    case 'include-run':
      return <IncludeRunDialog incident={open.incident} />;
    case 'open-incident':
      return <OpenIncidentDialog />;
    case 'flag':
      return <FlagDialog flag={open.flag} to={open.to} />;
    case 'test-notification':
      return <TestNotificationDialog receiver={open.receiver} />;
    case 'retry-notification':
      return <RetryNotificationDialog id={open.id} title={open.title} />;
    case 'palette':
      return <Palette />;
    case 'keys':
      return <KeysDialog />;
    case undefined:
      return null;
  }
}
