import { number } from '../../kernel/words.js';
import { call, whyNot, type Output } from '../api.js';
import { dialog } from '../dialogs.js';
import { useWatched } from '../live/use-watched.js';
import { Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { Read, ViewHead } from '../parts/view-head.js';
import { Link, pathOf } from '../router.js';
import { Explain } from './explain.js';
import { FlagState, Shares, Source, type Flag } from './flag-parts.js';
import { settingText } from './setting-text.js';

const EVERY_MS = 5_000;
const ENTRIES = 20;
const WORKERS = 200;

type Entry = Output<'listFlagChanges'>['items'][number];

interface Shown {
  readonly flag: Flag | undefined;
  readonly source: Output<'listFlags'>['source'];
  readonly workers: Output<'listWorkers'>['items'];
  readonly policy: Output<'getPolicy'> | undefined;
  /** Undefined: flags are elsewhere, which keeps their history. */
  readonly history: readonly Entry[] | undefined;
}

/** One flag: what it gives to whom, who has heard it, and how it came to be so. */
export function FlagDetail({ job, region }: { readonly job: string; readonly region: string }) {
  const watched = useWatched<Shown>(`flag ${job} ${region}`, {
    read: () => readFlag(job, region),
    affects: (change) => change.job === job || change.job === null,
    everyMs: EVERY_MS,
  });
  return (
    <>
      <ViewHead title={`${job} ${region}`} readMs={watched.readMs.value}>
        <Link to="/flags">All flags</Link>
        <Link to={pathOf('now', job, region)}>Its gate</Link>
      </ViewHead>
      <Read watched={watched} what="the flag">
        {(shown) =>
          shown.flag === undefined ? (
            <p class="empty">There is no such flag. The list has those there are.</p>
          ) : (
            <Facts shown={shown} flag={shown.flag} />
          )
        }
      </Read>
    </>
  );
}

async function readFlag(job: string, region: string): Promise<Shown> {
  const [flags, workers, policy] = await Promise.all([
    call('listFlags', { job, region, limit: 1 }),
    call('listWorkers', { limit: WORKERS }),
    call('getPolicy', { job }).catch(() => undefined),
  ]);
  const here = flags.source.url === null;
  const history = here ? await call('listFlagChanges', { job, region, limit: ENTRIES }) : undefined;
  return {
    flag: flags.items[0],
    source: flags.source,
    workers: workers.items,
    policy,
    history: history?.items,
  };
}

function Facts({
  shown: { source, workers, policy, history },
  flag,
}: {
  readonly shown: Shown;
  readonly flag: Flag;
}) {
  const { job, region, revision } = flag;
  const elsewhere = source.url === null ? undefined : `Flags are changed at ${source.url}.`;
  const off = elsewhere ?? whyNot('set-flag', region);
  return (
    <div class="run">
      <p class="panel-state">
        <FlagState flag={flag} />
      </p>
      <Source source={source} />
      <p class="buttons">
        <button
          type="button"
          class={flag.enabled ? 'danger' : 'primary'}
          disabled={off !== undefined}
          onClick={() => (dialog.value = { kind: 'flag', flag, to: { enabled: !flag.enabled } })}
        >
          {flag.enabled ? 'Turn off…' : 'Turn on…'}
        </button>
      </p>
      {off !== undefined && <p class="hint">{off}</p>}
      <div class="halves">
        <div>
          <section aria-labelledby="shares">
            <h2 id="shares">Versions and shares</h2>
            <Shares flag={flag} />
            {flag.breakGlass.map((each) => (
              <p key={each.id} class="warn">
                Break-glass <code>{each.id}</code> admits {each.version} until <Moment at={each.until} />.
              </p>
            ))}
          </section>
          <Explain job={job} region={region} />
          <Heard workers={workers} flag={flag} />
        </div>
        <div>
          <History flag={flag} history={history} off={off} />
          {policy !== undefined && (
            <section aria-labelledby="policy">
              <h2 id="policy">Policy in force</h2>
              <p class="quiet">
                applied by {policy.appliedBy} at <Moment at={policy.appliedAt} />
              </p>
              {policy.malformed !== null && <p class="warn">{policy.malformed}</p>}
              <details class="whole">
                <summary>The file as it was applied</summary>
                <pre tabIndex={0} aria-label="Policy in force">
                  {policy.source}
                </pre>
              </details>
              <p class="hint">Where your files are, this compares them with what is in force:</p>
              <Copyable text="portcullis flags diff" what="the command that compares policies" />
            </section>
          )}
        </div>
      </div>
      <p class="hint">Revision {number(revision)}.</p>
    </div>
  );
}

/** Which workers act on the revision in force. */
function Heard({ workers, flag }: { readonly workers: Shown['workers']; readonly flag: Flag }) {
  const lines = workers.flatMap(({ worker, atWork, lastSeenAt, versions }) =>
    versions
      .filter((each) => each.job === flag.job)
      .flatMap(({ version, flags }) =>
        flags
          .filter((each) => each.region === flag.region)
          .map(({ heard, current }) => ({ worker, atWork, lastSeenAt, version, heard, current })),
      ),
  );
  return (
    <section aria-labelledby="heard">
      <h2 id="heard">Who has heard it</h2>
      {lines.length === 0 && <p class="quiet">No worker serves this region.</p>}
      <ul class="lines">
        {lines.map(({ worker, atWork, lastSeenAt, version, heard, current }) => {
          const isCurrent = heard !== null && (current === null || heard >= current);
          return (
            <li key={`${worker} ${version}`}>
              <p>
                <code>{worker}</code>
                <br />
                <code class="quiet">{version}</code>
              </p>
              <p>
                {!atWork ? (
                  <span class="warn">
                    silent since <Moment at={lastSeenAt} />
                  </span>
                ) : isCurrent ? (
                  <span class="verdict verdict-pass">✓ revision {number(heard)}</span>
                ) : (
                  <span class="verdict verdict-fail">
                    ✕{' '}
                    {heard === null
                      ? 'has heard none'
                      : `revision ${number(heard)} of ${number(current ?? 0)}`}
                  </span>
                )}
              </p>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

interface HistoryProps {
  readonly flag: Flag;
  readonly history: readonly Entry[] | undefined;
  /** Why the person may not change it. */
  readonly off: string | undefined;
}

function History({ flag, history, off }: HistoryProps) {
  if (history === undefined) return <p class="hint">The server that has the flags keeps their history.</p>;
  return (
    <section aria-labelledby="history">
      <h2 id="history">History</h2>
      <ul class="lines">
        {history.map((entry) => (
          <li key={entry.revision} data-revision={entry.revision}>
            <p>
              <span class="quiet">
                {number(entry.revision)} · <Moment at={entry.changedAt} /> by {entry.changedBy}
              </span>
              <br />
              {entry.before === null ? (
                'made'
              ) : (
                <>
                  <del>{settingText(entry.before)}</del> <span aria-hidden="true">→</span>
                </>
              )}{' '}
              <strong>{settingText(entry)}</strong>
              <br />
              <span class="why">{entry.reason}</span>
            </p>
            {entry.revision !== flag.revision && settingText(entry) !== settingText(flag) && (
              <p class="line-side">
                <button
                  type="button"
                  disabled={off !== undefined}
                  onClick={() =>
                    (dialog.value = { kind: 'flag', flag, to: { revision: entry.revision, setting: entry } })
                  }
                >
                  Revert to revision {entry.revision}…
                </button>
              </p>
            )}
          </li>
        ))}
      </ul>
      <Copyable
        text={`portcullis flags history ${flag.job} --region ${flag.region}`}
        what="the command that shows the history"
      />
    </section>
  );
}
