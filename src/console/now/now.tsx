import { useSignal, useSignalEffect, type ReadonlySignal, type Signal } from '@preact/signals';
import { place as at, match, navigate } from '../router.js';
import { Moment } from '../parts/moment.js';
import { Problem } from '../parts/problem.js';
import { GATE_STATES, STATE_WORDS, StateSymbol, type GateState } from '../parts/state.js';
import { Copyable } from '../parts/copy.js';
import { GateGrid } from './gate-grid.js';
import { GatePanel } from './gate-panel.js';
import { OpenIncidents } from './open-incidents.js';
import { overview, placesOf, type Overview } from './overview.js';
import { filtered, type Grouping } from './rows.js';

const GROUPINGS: readonly Grouping[] = ['job', 'region', 'state'];

/** Every gate, for a wall and for the person on call. What is looked for stands in the address. */
export function Now() {
  const { data, error, readMs } = overview();
  const shown = data.value;
  const { path, query } = at.value;
  const open = match('/now/:job/:region', path);
  const text = useSignal(query.get('find') ?? '');
  const states = new Set((query.get('in') ?? '').split(',').filter(isState));
  const by = GROUPINGS.find((each) => each === query.get('by')) ?? 'job';
  const change = (name: string, value: string): void => {
    const next = new URLSearchParams(location.search);
    if (value === '') next.delete(name);
    else next.set(name, value);
    navigate(`${location.pathname}${next.size === 0 ? '' : `?${next.toString()}`}`, { replace: true });
  };
  useSignalEffect(() => {
    const wanted = text.value;
    if (wanted !== (at.peek().query.get('find') ?? '')) change('find', wanted);
  });
  const find = useDeferredText(text);
  if (shown === undefined) {
    return error.value === undefined ? (
      <p class="loading">Reading every gate…</p>
    ) : (
      <Problem error={error.value} />
    );
  }
  const all = placesOf(shown.jobs);
  const places = filtered(all, { text: find, states });
  return (
    <>
      <header class="view-head">
        <h1>Now</h1>
        <p class="age">
          {shown.next !== null && 'reading more gates; '}
          read at <Moment at={new Date(readMs.value).toISOString()} />
        </p>
      </header>
      {error.value !== undefined && <Problem error={error.value} />}
      <Warnings shown={shown} />
      <OpenIncidents />
      {all.length === 0 ? (
        <NoGates />
      ) : (
        <>
          <div class="tools">
            <div class="chips" role="group" aria-label="Only gates in these states">
              {GATE_STATES.map((state) => {
                const n = all.filter(({ gate }) => gate.state === state).length;
                return (
                  <button
                    key={state}
                    type="button"
                    class={`chip chip-${state}${n === 0 ? ' chip-none' : ''}`}
                    aria-pressed={states.has(state)}
                    onClick={() => change('in', toggled(states, state))}
                  >
                    <StateSymbol state={state} />
                    <b>{n.toLocaleString('en')}</b> {STATE_WORDS[state].toLowerCase()}
                  </button>
                );
              })}
            </div>
            <span class="spring" />
            <label class="tool">
              <span class="sr">Find a gate</span>
              <Find text={text} />
            </label>
            <label class="tool">
              <span class="tool-name">Group by</span>
              <select value={by} onChange={(event) => change('by', event.currentTarget.value)}>
                {GROUPINGS.map((each) => (
                  <option key={each}>{each}</option>
                ))}
              </select>
            </label>
          </div>
          <p class="sr" role="status">
            {places.length.toLocaleString('en')} of {all.length.toLocaleString('en')} gates
          </p>
          {places.length === 0 && <p class="empty">No gate fits. Clear the search or the states above.</p>}
          <GateGrid places={places} all={all} by={by} readMs={readMs.value} />
        </>
      )}
      {open !== undefined && (
        <GatePanel
          key={`${open['job'] ?? ''} ${open['region'] ?? ''}`}
          job={open['job'] ?? ''}
          region={open['region'] ?? ''}
          shown={shown}
          readMs={readMs.value}
          onClose={() => navigate(`/${location.search}`)}
        />
      )}
    </>
  );
}

/** By itself, so that a letter draws the field again and not every gate. */
function Find({ text }: { readonly text: Signal<string> }) {
  return (
    <input
      type="search"
      id="find"
      placeholder="Find a job, region, version, reason"
      value={text.value}
      onInput={(event) => (text.value = event.currentTarget.value)}
    />
  );
}

/** What makes all that is shown doubtful. */
function Warnings({ shown: { unreachable, flagSource, regionsAlone } }: { readonly shown: Overview }) {
  const { problem } = flagSource;
  if (unreachable.length === 0 && problem === null && !regionsAlone) return null;
  return (
    <ul class="warnings" role="alert">
      {regionsAlone && (
        <li>
          The control database does not answer. What the region databases answer is shown: flags, rollouts and
          pending kills are not known. Kill works.
        </li>
      )}
      {unreachable.length > 0 && (
        <li>
          {unreachable.join(', ')} {unreachable.length === 1 ? 'does' : 'do'} not answer: gates there are not
          known.
        </li>
      )}
      {problem !== null && (
        <li>
          Flags of {flagSource.url ?? 'this installation'}: {problem.reason} since{' '}
          <Moment at={problem.since} />.
        </li>
      )}
    </ul>
  );
}

function NoGates() {
  return (
    <section class="empty">
      <h2>No job has a gate yet</h2>
      <p>
        A gate is the decision whether a job may write in a region. It appears here once a policy is in force.
        Put your policy files in force, then start a worker:
      </p>
      <Copyable text="portcullis flags apply" what="the command" />
      <Copyable text="portcullis worker" what="the command" />
    </section>
  );
}

function isState(text: string): text is GateState {
  return (GATE_STATES as readonly string[]).includes(text);
}

function toggled(states: ReadonlySet<GateState>, state: GateState): string {
  const next = new Set(states);
  if (!next.delete(state)) next.add(state);
  return [...next].join(',');
}

const REST_MS = 80;

/** What was typed, once the typing rests: ten thousand gates are not looked through at every letter. */
function useDeferredText(text: ReadonlySignal<string>): string {
  const settled = useSignal(text.value);
  useSignalEffect(() => {
    const now = text.value;
    const timer = setTimeout(() => (settled.value = now), REST_MS);
    return () => clearTimeout(timer);
  });
  return settled.value;
}
