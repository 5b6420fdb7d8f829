import { GATE_STATES, type Gate, type GateState } from '../now/place.js';

export { GATE_STATES, type Gate, type GateState };

export const STATE_WORDS: Readonly<Record<GateState, string>> = {
  killed: 'Killed',
  silent: 'Silent',
  held: 'Held',
  'rolling-out': 'Rolling out',
  open: 'Open',
};

/** Each has a shape of its own, so that it is told without colour and from afar. */
const SHAPES: Readonly<Record<GateState, string>> = {
  killed:
    'M5 1h6l4 4v6l-4 4H5l-4-4V5zM4.6 5.9 6.7 8l-2.1 2.1 1.3 1.3L8 9.3l2.1 2.1 1.3-1.3L9.3 8l2.1-2.1-1.3-1.3L8 6.7 5.9 4.6z',
  silent: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1m0 2a5 5 0 1 1 0 10A5 5 0 0 1 8 3M7 4.7h2v4H7zm0 5h2v1.7H7z',
  held: 'M2 2h4.5v12H2zm7.5 0H14v12H9.5z',
  'rolling-out': 'M8 1v2a5 5 0 1 0 5 5h2a7 7 0 1 1-7-7m2-.6L15.2 4 10 7.6z',
  open: 'M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1M4.2 8.2 7 11l5-5.2-1.4-1.3L7 8.3 5.6 6.8z',
};

export function StateSymbol({ state }: { readonly state: GateState }) {
  return (
    <svg class="symbol" viewBox="0 0 16 16" aria-hidden="true">
      <path fill="currentColor" fill-rule="evenodd" d={SHAPES[state]} />
    </svg>
  );
}

export function StateTag({ state }: { readonly state: GateState }) {
  return (
    <span class={`state state-${state}`}>
      <StateSymbol state={state} />
      {STATE_WORDS[state]}
    </span>
  );
}
