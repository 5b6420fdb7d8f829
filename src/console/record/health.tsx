import { call, whyNot, type Output } from '../api.js';
import { dialog } from '../dialogs.js';
import { Source } from '../flags/flag-parts.js';
import { DeliveryLine } from '../incidents/told.js';
import { useWatched } from '../live/use-watched.js';
import { Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { Read } from '../parts/view-head.js';

/** The doctor asks every database. */
const EXAMINE_MS = 60_000;
const EVERY_MS = 10_000;
const MOST = 200;
const NEWEST = 8;

/** Whether everything is well: findings, workers, databases, where flags come from, and who is told. */
export function Health() {
  const findings = useWatched('doctor', {
    read: () => call('examineInstallation', {}),
    affects: () => false,
    everyMs: EXAMINE_MS,
  });
  return (
    <div class="halves">
      <div>
        <section aria-labelledby="doctor">
          <h2 id="doctor">Health</h2>
          <Read watched={findings} what="the installation">
            {(shown) => <Findings shown={shown} />}
          </Read>
          <Copyable text="portcullis doctor" what="the command that shows it" />
        </section>
        <Sources />
      </div>
      <div>
        <Workers />
        <Receivers />
      </div>
    </div>
  );
}

const MARKS = { ok: '✓', warn: '!', fail: '✕' } as const;

function Findings({ shown: { healthy, findings } }: { readonly shown: Output<'examineInstallation'> }) {
  const fine = findings.filter(({ mark }) => mark === 'ok');
  const others = findings.filter(({ mark }) => mark !== 'ok');
  return (
    <>
      <p class={`verdict ${healthy ? 'verdict-pass' : 'verdict-fail'}`}>
        {healthy ? '✓ Nothing needs a fix' : '✕ Something needs a fix'}
      </p>
      <ul class="verdicts">
        {others.map(({ check, mark, found, hint }) => (
          <li key={`${check} ${found}`} data-check={check}>
            <p>
              <span class={`verdict verdict-${mark === 'fail' ? 'fail' : 'open'}`}>
                {MARKS[mark]} {check}
              </span>
              : {found}
            </p>
            {hint !== undefined && <p class="hint">{hint}</p>}
          </li>
        ))}
      </ul>
      {fine.length > 0 && (
        <details>
          <summary>✓ {fine.length} checks found nothing</summary>
          <ul class="passed">
            {fine.map(({ check, found }) => (
              <li key={`${check} ${found}`}>
                ✓ {check}: <span class="quiet">{found}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

function Workers() {
  const watched = useWatched('workers', {
    read: async () => {
      const [workers, versions] = await Promise.all([
        call('listWorkers', { limit: MOST }),
        call('listVersions', { limit: MOST }),
      ]);
      return { workers: workers.items, versions: versions.items };
    },
    affects: () => false,
    everyMs: EVERY_MS,
  });
  return (
    <section aria-labelledby="workers">
      <h2 id="workers">Workers and versions</h2>
      <Read watched={watched} what="workers">
        {({ workers, versions }) => (
          <>
            {workers.length === 0 && <p class="warn">No worker was ever here: nothing runs.</p>}
            <ul class="lines">
              {workers.map(({ worker, atWork, lastSeenAt, versions: own }) => (
                <li key={worker} data-worker={worker}>
                  <p>
                    <code>{worker}</code>
                    <br />
                    <span class="quiet">
                      {own
                        .map(({ job, version, regions }) => `${job} ${version} in ${regions.join(', ')}`)
                        .join('; ')}
                    </span>
                  </p>
                  <p>
                    {atWork ? (
                      <span class="verdict verdict-pass">✓ at work</span>
                    ) : (
                      <span class="warn">
                        silent since <Moment at={lastSeenAt} />
                      </span>
                    )}
                  </p>
                </li>
              ))}
            </ul>
            <details>
              <summary>Versions</summary>
              <ul class="passed">
                {versions.map(({ job, version, live, installed, admitted }) => (
                  <li key={`${job} ${version}`}>
                    {job} <code>{version}</code>
                    <span class="quiet">
                      {' '}
                      {installed ? 'installed here; ' : ''}
                      {live.length === 0 ? 'no worker can run it' : `live in ${live.join(', ')}`}
                      {admitted.length > 0 &&
                        `; admitted in ${admitted.map(({ region, permille }) => `${region} to ${permille / 10} %`).join(', ')}`}
                    </span>
                  </li>
                ))}
              </ul>
            </details>
          </>
        )}
      </Read>
    </section>
  );
}

function Sources() {
  const watched = useWatched('sources', {
    read: async () => {
      const [flags, databases] = await Promise.all([
        call('listFlags', { limit: 1 }),
        call('listDatabases', { limit: MOST }),
      ]);
      return { source: flags.source, databases };
    },
    affects: ({ kind }) => kind === 'database',
    everyMs: EVERY_MS,
  });
  return (
    <section aria-labelledby="sources">
      <h2 id="sources">Flags and databases</h2>
      <Read watched={watched} what="sources">
        {({ source, databases: { items, unreachable } }) => (
          <>
            <Source source={source} />
            {unreachable.map((each) => (
              <p key={each} class="verdict verdict-fail">
                ✕ {each} does not answer
              </p>
            ))}
            <ul class="lines">
              {items.map(({ database, identity, confirmed, hidden, unrecordedKills, unrecordedTrips }) => (
                <li key={database}>
                  <p>
                    {database}
                    <br />
                    <code class="quiet">{identity}</code>
                  </p>
                  <p>
                    {confirmed ? (
                      <span class="verdict verdict-pass">✓ confirmed</span>
                    ) : (
                      <span class="verdict verdict-fail">✕ not confirmed: nothing writes to it</span>
                    )}
                    {hidden && <span class="warn"> hides its identity</span>}
                    {unrecordedKills + unrecordedTrips > 0 && (
                      <span class="warn"> kills or trips not on record yet</span>
                    )}
                  </p>
                </li>
              ))}
            </ul>
          </>
        )}
      </Read>
    </section>
  );
}

/** Where notifications go, and whether they arrive. */
function KnownReceivers() {
  const watched = useWatched('receivers', {
    read: () => call('listReceivers', { limit: MOST }),
    affects: () => true,
    everyMs: EVERY_MS,
  });
  const off = whyNot('notify');
  return (
    <Read watched={watched} what="receivers">
      {({ items }) => (
        <>
          {items.length === 0 && <p class="quiet">No running control plane has a receiver configured.</p>}
          <ul class="lines">
            {items.map((each) => (
              <li key={each.name} data-receiver={each.name}>
                <p>
                  <ReceiverState receiver={each} /> <code>{each.name}</code> {each.kind}, {each.target}
                  <br />
                  <span class="quiet">
                    {each.severities?.join(', ') ?? 'every severity'};{' '}
                    {each.kinds?.join(', ') ?? 'every kind'}; {each.jobs?.join(', ') ?? 'every job'}
                  </span>
                  {each.lastProblem !== null && (
                    <>
                      <br />
                      <span class="warn">{each.lastProblem}</span>
                    </>
                  )}
                </p>
                <p class="line-side">
                  <button
                    type="button"
                    disabled={off !== undefined || !each.served}
                    onClick={() => (dialog.value = { kind: 'test-notification', receiver: each.name })}
                  >
                    Test…
                  </button>
                </p>
              </li>
            ))}
          </ul>
        </>
      )}
    </Read>
  );
}

function ReceiverState({
  receiver: { served, dead, pending, deliveredAt },
}: {
  readonly receiver: Output<'listReceivers'>['items'][number];
}) {
  if (!served) return <span class="verdict verdict-fail">✕ not served</span>;
  if (dead > 0) return <span class="verdict verdict-fail">✕ {dead} given up</span>;
  if (pending > 0) return <span class="warn">… {pending} waiting</span>;
  return deliveredAt === null ? (
    <span class="quiet">untried</span>
  ) : (
    <span class="verdict verdict-pass">
      ✓ last took one <Moment at={deliveredAt} />
    </span>
  );
}

function Receivers() {
  const watched = useWatched('notifications', {
    read: async () => {
      const [dead, newest] = await Promise.all([
        call('listNotifications', { state: 'dead', limit: NEWEST }),
        call('listNotifications', { limit: NEWEST }),
      ]);
      const shown = [
        ...dead.items,
        ...newest.items.filter(({ id }) => !dead.items.some((each) => each.id === id)),
      ];
      return shown;
    },
    affects: () => true,
    everyMs: EVERY_MS,
  });
  const off = whyNot('notify');
  return (
    <section aria-labelledby="receivers">
      <h2 id="receivers">Notifications</h2>
      <p class="buttons">
        <button
          type="button"
          disabled={off !== undefined}
          onClick={() => (dialog.value = { kind: 'test-notification' })}
        >
          Send a test…
        </button>
      </p>
      {off !== undefined && <p class="hint">{off}</p>}
      <KnownReceivers />
      <Read watched={watched} what="notifications">
        {(items) => (
          <>
            {items.length === 0 && <p class="quiet">Nobody was told anything yet.</p>}
            <ul class="lines">
              {items.map(({ id, at, title, deliveries }) => (
                <li key={id} data-notification={id}>
                  <p>
                    <Moment at={at} /> {title}
                    <br />
                    {deliveries.length === 0 ? (
                      <span class="quiet">no receiver is configured</span>
                    ) : (
                      deliveries.map((each) => <DeliveryLine key={each.receiver} delivery={each} />)
                    )}
                  </p>
                  {deliveries.some(({ state }) => state === 'dead') && (
                    <p class="line-side">
                      <button
                        type="button"
                        disabled={off !== undefined}
                        onClick={() => (dialog.value = { kind: 'retry-notification', id, title })}
                      >
                        Try again…
                      </button>
                    </p>
                  )}
                </li>
              ))}
            </ul>
          </>
        )}
      </Read>
    </section>
  );
}
