import type { Output } from '../outputs.js';
import { percent } from '../now/gate-cell.js';
import { Moment } from '../parts/moment.js';

export type Flag = Output<'listFlags'>['items'][number];

/** Where flags come from, and what is wrong with that. */
export function Source({ source }: { readonly source: Output<'listFlags'>['source'] }) {
  const { kind, url, heardAt, problem } = source;
  return (
    <p class={problem === null ? 'hint' : 'warnings'} role={problem === null ? undefined : 'alert'}>
      Flags are {kind}
      {url !== null && (
        <>
          {' '}
          at <code>{url}</code>
        </>
      )}
      {heardAt !== null && (
        <>
          , confirmed at <Moment at={heardAt} />
        </>
      )}
      .
      {problem !== null && (
        <>
          {' '}
          {problem.reason}, since <Moment at={problem.since} />.
        </>
      )}
    </p>
  );
}

/** On or off, and whether this process would let anything act by it. */
export function FlagState({ flag: { enabled, open, closedReason, malformed } }: { readonly flag: Flag }) {
  return (
    <>
      <span class={`run-status ${open ? 'run-good' : enabled ? 'run-idle' : 'run-bad'}`}>
        {open ? '✓ on' : enabled ? '‖ on, closed' : '✕ off'}
      </span>
      {!open && closedReason !== null && (
        <>
          <br />
          <span class="quiet">{malformed ?? closedReason}</span>
        </>
      )}
    </>
  );
}

/** Who has which share, down to what it is admitted to. */
export function Shares({ flag: { variants, beyond } }: { readonly flag: Flag }) {
  if (variants.length === 0) return <span class="quiet">no version has a share</span>;
  return (
    <ul>
      {variants.map(({ version, permille }) => {
        const less = beyond.find((each) => each.version === version);
        return (
          <li key={version}>
            <code>{version}</code> {percent(less?.admitted ?? permille)}
            {less !== undefined && (
              <span class="warn">
                {' '}
                of {percent(less.asked)} asked: {less.reason}
              </span>
            )}
          </li>
        );
      })}
    </ul>
  );
}
