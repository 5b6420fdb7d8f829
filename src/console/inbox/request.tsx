import { countOf } from '../../kernel/words.js';
import { me, whyNot } from '../api.js';
import { dialog } from '../dialogs.js';
import { percent } from '../now/gate-cell.js';
import { Copy } from '../parts/copy.js';
import { BeforeAfterTable } from '../parts/dialog.js';
import { Moment, Until } from '../parts/moment.js';
import { Link, pathOf } from '../router.js';
import { askedOf, type Asked, type RegionSeen, type Request } from './asked.js';

export type Decision = 'approve' | 'reject' | 'approveAlone';

function isMine({ requestedBy, requestedPerson }: Request): boolean {
  const { name, person } = me.value ?? {};
  return requestedBy === name || (requestedPerson !== null && requestedPerson === person);
}

/** Why the person may not decide it so; undefined: they may. The server decides all the same. */
export function whyNotDecide(request: Request, decision: Decision): string | undefined {
  if (request.state !== 'pending') return `It is ${request.state} already.`;
  // Anybody may cancel what would approve itself.
  if (decision === 'reject' && request.aloneAt !== null) return whyNot('cancel');
  const may = whyNot('approve', request.region ?? undefined);
  if (may !== undefined) return may;
  const { person } = me.value ?? {};
  if (decision === 'approveAlone') {
    if (!isMine(request)) return 'Another person asked for it: approve or reject it.';
    return person === null ? 'A machine cannot approve: sign in as a person.' : undefined;
  }
  if (isMine(request)) return 'You asked for it: another person decides.';
  if (decision === 'approve' && person === null) return 'A machine cannot approve: sign in as a person.';
  return undefined;
}

/** What somebody asks for, on what evidence, and what became of it. */
export function RequestCard({ request }: { readonly request: Request }) {
  const { id, subject, reason, state } = request;
  const asked = askedOf(request);
  const off = whyNotDecide(request, 'approve');
  const offReject = whyNotDecide(request, 'reject');
  const open = (decision: Decision) => () => (dialog.value = { kind: 'decide', request, decision });
  return (
    <article class={`request request-${state}`} aria-labelledby={`request-${id}`} data-request={id}>
      <header class="request-head">
        <div>
          <p class="quiet">
            {asked.title} · <Link to={pathOf('inbox', id)}>{id}</Link>
            <Copy text={id} what={`the id ${id}`} />
          </p>
          <h2 id={`request-${id}`}>{subject}</h2>
        </div>
        {state !== 'pending' && <p class="request-state">{stateText(request)}</p>}
      </header>
      <p class="why">{reason}</p>
      <p class="quiet">
        Asked for by {who(request.requestedBy, request.requestedPerson)} at{' '}
        <Moment at={request.requestedAt} ago />
        {state === 'pending' && (
          <>
            ; expires <Until at={request.expiresAt} />, at <Moment at={request.expiresAt} />
          </>
        )}
      </p>
      {request.aloneAt !== null && state === 'pending' && (
        <p class="warn">
          It approves itself at <Moment at={request.aloneAt} /> unless somebody rejects it.
        </p>
      )}
      {request.caution !== null && <p class="warn">{request.caution}</p>}
      <Changes asked={asked} />
      <Evidence asked={asked} request={request} />
      {state === 'pending' && (
        <>
          <p class="buttons">
            <button type="button" class="primary" disabled={off !== undefined} onClick={open('approve')}>
              Approve…
            </button>
            <button type="button" disabled={offReject !== undefined} onClick={open('reject')}>
              Reject…
            </button>
            {isMine(request) && request.aloneAt === null && (
              <button
                type="button"
                disabled={whyNotDecide(request, 'approveAlone') !== undefined}
                onClick={open('approveAlone')}
              >
                Approve alone…
              </button>
            )}
          </p>
          {[...new Set([off, offReject])].map(
            (why) =>
              why !== undefined && (
                <p key={why} class="hint">
                  {why}
                </p>
              ),
          )}
        </>
      )}
    </article>
  );
}

/** What approving would change, and whom it reaches. */
export function Changes({ asked: { changes, reach } }: { readonly asked: Asked }) {
  return (
    <>
      {changes.length > 0 && <BeforeAfterTable changes={changes} />}
      {reach !== undefined && (
        <p>
          It reaches <strong>{reach}</strong>.
        </p>
      )}
    </>
  );
}

function Evidence({
  asked: { regions, hash },
  request,
}: {
  readonly asked: Asked;
  readonly request: Request;
}) {
  const whole = JSON.stringify(request.evidence, null, 2);
  return (
    <>
      {regions.length > 0 && (
        <ul class="seen" aria-label="Evidence by region">
          {regions.map((each) => (
            <Seen key={each.region} seen={each} />
          ))}
        </ul>
      )}
      <details class="whole">
        <summary>
          All of the evidence
          {hash !== undefined && <code class="quiet"> {hash.slice(0, 12)}</code>}
        </summary>
        <Copy text={whole} what="the evidence" />
        <pre tabIndex={0} aria-label="The evidence as it is kept">
          {whole}
        </pre>
      </details>
    </>
  );
}

function Seen({ seen }: { readonly seen: RegionSeen }) {
  return (
    <li>
      <p>
        <strong>{seen.region}</strong> at {percent(seen.permille)}: {countOf(seen.runs, 'good run')},{' '}
        {countOf(seen.changes, 'change')}
      </p>
      {seen.trouble !== undefined && <p class="verdict verdict-fail">✕ {seen.trouble}</p>}
      {seen.skipped.map((each) => (
        <p key={each} class="verdict verdict-skipped">
          ↷ bake skipped, not checked: {each}
        </p>
      ))}
      {seen.verdicts.map(([rule, verdict]) => (
        <p
          key={rule}
          class={`verdict verdict-${verdict === 'pass' || verdict === 'fail' ? verdict : 'open'}`}
        >
          {VERDICT_SIGNS[verdict] ?? '?'} {rule}: {verdict.replaceAll('-', ' ')}
        </p>
      ))}
    </li>
  );
}

const VERDICT_SIGNS: Readonly<Record<string, string>> = { pass: '✓', fail: '✕' };

function who(token: string, person: string | null): string {
  return person === null || person === token ? token : `${token} of ${person}`;
}

function stateText({ state, decidedBy, decidedPerson, decidedAt }: Request) {
  if (decidedBy === null || decidedAt === null) return state;
  return (
    <>
      {state} by {who(decidedBy, decidedPerson)} at <Moment at={decidedAt} />
    </>
  );
}
