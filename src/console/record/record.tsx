import { useSignal } from '@preact/signals';
import { countOf, number } from '../../kernel/words.js';
import { call, whyNot, type Input, type Output } from '../api.js';
import { useWatched } from '../live/use-watched.js';
import { Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { Problem } from '../parts/problem.js';
import { Read, ViewHead } from '../parts/view-head.js';
import { Link, navigate, place } from '../router.js';
import { Health } from './health.js';

const PAGE = 50;
const EVERY_MS = 10_000;

/** What was done and by whom, with the state of the chain; and whether everything is well. */
export function Record() {
  return (
    <>
      <ViewHead title="Record and health" readMs={0} />
      <div class="run">
        <Health />
        <Audit />
      </div>
    </>
  );
}

const FIELDS = ['principal', 'action', 'subject'] as const;

function addressWith(change: Readonly<Record<string, string>>): string {
  const next = new URLSearchParams(place.value.query);
  next.delete('cursor');
  for (const [name, value] of Object.entries(change)) {
    if (value === '') next.delete(name);
    else next.set(name, value);
  }
  return `/record${next.size === 0 ? '' : `?${next.toString()}`}`;
}

function Audit() {
  const { query } = place.value;
  const off = whyNot('verify-audit');
  const wanted: Input<'listAudit'> = { limit: PAGE };
  for (const name of [...FIELDS, 'cursor', 'since'] as const) {
    const value = query.get(name);
    if (value !== null && value !== '') wanted[name] = value;
  }
  return (
    <section aria-labelledby="audit">
      <h2 id="audit">Audit log</h2>
      {off === undefined ? (
        <>
          <Chain />
          <Search key={query.toString()} />
          <Entries key={JSON.stringify(wanted)} wanted={wanted} />
        </>
      ) : (
        <p class="refused">{off}</p>
      )}
    </section>
  );
}

type Verdict = Output<'verifyAudit'>;

/** Whether the log is whole. It reads all of it, and so on demand. */
function Chain() {
  const verdict = useSignal<Verdict | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const busy = useSignal(false);
  const verify = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      verdict.value = await call('verifyAudit', {}, { signal: AbortSignal.timeout(120_000) });
    } catch (thrown) {
      error.value = thrown;
    }
    busy.value = false;
  };
  const found = verdict.value;
  return (
    <>
      <p class="buttons">
        <button type="button" disabled={busy.value} onClick={() => void verify()}>
          {busy.value ? 'Verifying every entry…' : 'Verify the chain'}
        </button>
      </p>
      {error.value !== undefined && <Problem error={error.value} />}
      {found !== undefined && (
        <div class="request" role="status" aria-label="The chain">
          {found.ok ? (
            <p class="verdict verdict-pass">
              ✓ The log is whole: {countOf(found.count, 'entry', 'entries')} verified, none was changed,
              removed or inserted
            </p>
          ) : (
            <p class="verdict verdict-fail">
              ✕ The log is broken at entry {found.seq}: {found.reason}
            </p>
          )}
          {found.waiting.kills + found.waiting.trips > 0 && (
            <p class="warn">
              {countOf(found.waiting.kills, 'kill')} and {countOf(found.waiting.trips, 'trip')} hold and are
              not in the log yet.
            </p>
          )}
          {found.waiting.unreachable.length > 0 && (
            <p class="warn">Not asked: {found.waiting.unreachable.join(', ')}.</p>
          )}
          {found.head !== undefined && (
            <>
              <p class="hint">Keep its head elsewhere, and expect it the next time:</p>
              <Copyable
                text={`portcullis audit verify --expect-head ${found.head}`}
                what="the command with the head"
              />
            </>
          )}
        </div>
      )}
    </>
  );
}

function Search() {
  const { query } = place.value;
  const values = useSignal<Readonly<Record<string, string>>>(
    Object.fromEntries(FIELDS.map((name) => [name, query.get(name) ?? ''])),
  );
  return (
    <form
      class="tools"
      onSubmit={(event) => {
        event.preventDefault();
        navigate(addressWith(values.value));
      }}
    >
      {FIELDS.map((name) => (
        <label key={name} class="tool">
          <span class="tool-name">{{ principal: 'Who', action: 'Action', subject: 'To what' }[name]}</span>
          <input
            type="search"
            spellcheck={false}
            id={name === 'principal' ? 'find' : undefined}
            value={values.value[name] ?? ''}
            onInput={(event) =>
              (values.value = { ...values.value, [name]: event.currentTarget.value.trim() })
            }
          />
        </label>
      ))}
      <button type="submit">Search</button>
    </form>
  );
}

function Entries({ wanted }: { readonly wanted: Input<'listAudit'> }) {
  const watched = useWatched(JSON.stringify(wanted), {
    read: () => call('listAudit', wanted),
    affects: () => wanted.cursor === undefined,
    everyMs: EVERY_MS,
  });
  return (
    <Read watched={watched} what="the log">
      {({ items, next }) => (
        <>
          {items.length === 0 && <p class="empty">No entry fits.</p>}
          <ul class="lines">
            {items.map(({ seq, at, principal, action, subject, evidence }) => (
              <li key={seq} data-seq={seq}>
                <details class="whole entry">
                  <summary>
                    <span class="quiet">
                      {number(seq)} · <Moment at={at} />
                    </span>{' '}
                    <strong>{principal}</strong> {action} <code>{subject}</code>
                  </summary>
                  <pre tabIndex={0} aria-label={`Evidence of entry ${seq}`}>
                    {JSON.stringify(evidence, null, 2)}
                  </pre>
                </details>
              </li>
            ))}
          </ul>
          <p class="buttons pages">
            {wanted.cursor !== undefined && <Link to={addressWith({})}>Newest entries</Link>}
            {next !== null && (
              <Link
                to={`${addressWith({})}${addressWith({}).includes('?') ? '&' : '?'}cursor=${encodeURIComponent(next)}`}
              >
                Older entries
              </Link>
            )}
          </p>
        </>
      )}
    </Read>
  );
}
