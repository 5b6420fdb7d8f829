import { listUpTo } from '../../client/client.js';
import { call } from '../api.js';
import { useWatched } from '../live/use-watched.js';
import { Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { Problem } from '../parts/problem.js';
import { Link, match, place } from '../router.js';
import type { Request } from './asked.js';
import { RequestCard } from './request.js';

/** Requests expire, and approve themselves, without being told. */
const EVERY_MS = 15_000;
const MOST = 1_000;
const DECIDED = 50;

interface Requests {
  readonly waiting: readonly Request[];
  /** Whether more wait than are shown. */
  readonly more: boolean;
  readonly decided: readonly Request[];
}

/** What waits for a decision, and what was decided of late. A request has an address of its own. */
export function Inbox() {
  const { data, error, readMs } = useWatched('inbox', {
    read: readRequests,
    affects: ({ kind }) => kind === 'approval',
    everyMs: EVERY_MS,
  });
  const shown = data.value;
  if (shown === undefined) {
    return error.value === undefined ? (
      <p class="loading">Reading what waits…</p>
    ) : (
      <Problem error={error.value} />
    );
  }
  const only = match('/inbox/:id', place.value.path)?.['id']?.toLowerCase();
  return (
    <>
      <header class="view-head">
        <h1>Inbox</h1>
        <p class="age">
          read at <Moment at={new Date(readMs.value).toISOString()} />
        </p>
      </header>
      {error.value !== undefined && <Problem error={error.value} />}
      {only === undefined ? <Lists shown={shown} /> : <One id={only} shown={shown} />}
    </>
  );
}

function Lists({ shown: { waiting, more, decided } }: { readonly shown: Requests }) {
  return (
    <>
      {waiting.length === 0 ? (
        <section class="empty">
          <h2>Nothing waits for a decision</h2>
          <p>
            Some acts take a second person: a killed gate that is re-armed, a rollout’s next wave, a bake that
            is skipped, break-glass, a quarantine that is lifted. Whoever asks puts it here; somebody else
            decides.
          </p>
        </section>
      ) : (
        <section class="requests" aria-label="Waiting">
          {waiting.map((each) => (
            <RequestCard key={each.id} request={each} />
          ))}
        </section>
      )}
      {more && (
        <>
          <p class="hint">More requests wait than are shown here; this lists them:</p>
          <Copyable text="portcullis approvals --state pending" what="the command that lists them" />
        </>
      )}
      {decided.length > 0 && (
        <section class="requests" aria-labelledby="decided">
          <h2 id="decided">Decided or expired of late</h2>
          {decided.map((each) => (
            <RequestCard key={each.id} request={each} />
          ))}
        </section>
      )}
    </>
  );
}

function One({ id, shown }: { readonly id: string; readonly shown: Requests }) {
  const request = [...shown.waiting, ...shown.decided].find((each) => each.id.toLowerCase() === id);
  return (
    <>
      <p>
        <Link to="/inbox">All requests</Link>
      </p>
      {request === undefined ? (
        <section class="empty">
          <p>
            No request with the id <code>{id}</code> waits, or was decided of late.
          </p>
        </section>
      ) : (
        <section class="requests" aria-label="Request">
          <RequestCard request={request} />
        </section>
      )}
    </>
  );
}

async function readRequests(): Promise<Requests> {
  const { items: waiting, more } = await listUpTo<Request>(MOST, (page) =>
    call('listApprovals', { state: 'pending', ...page }),
  );
  const newest = await call('listApprovals', { limit: DECIDED });
  return {
    // What expires first comes first.
    waiting: waiting.sort((one, other) => Date.parse(one.expiresAt) - Date.parse(other.expiresAt)),
    more,
    decided: newest.items.filter(({ state }) => state !== 'pending'),
  };
}
