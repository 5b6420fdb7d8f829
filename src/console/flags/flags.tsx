import { number } from '../../kernel/words.js';
import { call } from '../api.js';
import { useWatched } from '../live/use-watched.js';
import { Copyable } from '../parts/copy.js';
import { Moment } from '../parts/moment.js';
import { Read, ViewHead } from '../parts/view-head.js';
import { Link, match, pathOf, place } from '../router.js';
import { FlagDetail } from './flag-detail.js';
import { FlagState, Shares, Source } from './flag-parts.js';

const PAGE = 100;
/** A source that grows stale closes flags without being told. */
const EVERY_MS = 10_000;

/** Every flag, or the one that the address names. */
export function Flags() {
  const found = match('/flags/:job/:region', place.value.path);
  const [job, region] = [found?.['job'], found?.['region']];
  if (job === undefined || region === undefined) return <List />;
  return <FlagDetail key={`${job} ${region}`} job={job} region={region} />;
}

function List() {
  const cursor = place.value.query.get('cursor') ?? undefined;
  const watched = useWatched(`flags ${cursor ?? ''}`, {
    read: () => call('listFlags', { limit: PAGE, cursor }),
    affects: ({ kind }) => kind === 'flag' || kind === 'admission' || kind === 'break-glass',
    everyMs: EVERY_MS,
  });
  return (
    <>
      <ViewHead title="Flags" readMs={watched.readMs.value} />
      <Read watched={watched} what="flags">
        {({ items, next, source }) => (
          <>
            <Source source={source} />
            {items.length === 0 && <NoFlags />}
            {items.length > 0 && (
              <table class="list rows">
                <thead>
                  <tr>
                    <th scope="col">Flag</th>
                    <th scope="col">State</th>
                    <th scope="col">Versions and shares</th>
                    <th scope="col">Changed</th>
                    <th scope="col" class="number">
                      Revision
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((flag) => (
                    <tr key={flag.name} data-flag={flag.name}>
                      <th scope="row">
                        <Link to={pathOf('flags', flag.job, flag.region)}>
                          {flag.job} <strong>{flag.region}</strong>
                        </Link>
                      </th>
                      <td>
                        <FlagState flag={flag} />
                      </td>
                      <td>
                        <Shares flag={flag} />
                      </td>
                      <td>
                        {flag.reason ?? '–'}
                        <br />
                        <span class="quiet">
                          {flag.changedBy}
                          {flag.changedAt !== null && (
                            <>
                              {' '}
                              at <Moment at={flag.changedAt} />
                            </>
                          )}
                        </span>
                      </td>
                      <td class="number">
                        {number(flag.revision)}
                        <span class="narrow"> revision</span>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
            <p class="buttons pages">
              {cursor !== undefined && <Link to="/flags">First page</Link>}
              {next !== null && <Link to={`/flags?cursor=${encodeURIComponent(next)}`}>Next page</Link>}
            </p>
          </>
        )}
      </Read>
    </>
  );
}

function NoFlags() {
  return (
    <section class="empty">
      <h2>There is no flag yet</h2>
      <p>A policy that is put in force makes a flag, switched off, for each of its regions:</p>
      <Copyable text="portcullis flags apply" what="the command" />
    </section>
  );
}
