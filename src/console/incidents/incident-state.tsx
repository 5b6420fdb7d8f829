import type { Output } from '../outputs.js';

export type Incident = Output<'getIncident'>;
type State = Incident['state'];

const WORDS: Readonly<
  Record<State, { readonly sign: string; readonly word: string; readonly tone: string }>
> = {
  open: { sign: '✕', word: 'Still open', tone: 'bad' },
  contained: { sign: '■', word: 'Contained', tone: 'busy' },
  restoring: { sign: '↺', word: 'Restoring', tone: 'busy' },
  restored: { sign: '✓', word: 'Restored', tone: 'good' },
  closed: { sign: '✓', word: 'Closed', tone: 'idle' },
};

export function IncidentState({ state }: { readonly state: State }) {
  const { sign, word, tone } = WORDS[state];
  return (
    <span class={`run-status run-${tone}`}>
      <span aria-hidden="true">{sign}</span> {word}
    </span>
  );
}
