/** How a word is meant: colour on a terminal that has it, nothing elsewhere. */
export type Tone = 'good' | 'bad' | 'warning' | 'quiet' | 'strong' | 'plain';

/** ANSI's select graphic rendition. */
const CODES: Readonly<Record<Tone, number | undefined>> = {
  good: 32,
  bad: 31,
  warning: 33,
  quiet: 2,
  strong: 1,
  plain: undefined,
};

/** What `painter` writes around text: one of those codes, or the end of it. */
export const PAINT = /\u001b\[(?:[012]|3[123])m/u;

export type Paint = (text: string, tone: Tone) => string;

/** Paints text where `colour` is allowed, and leaves it as it is where not. */
export function painter(colour: boolean): Paint {
  return (text, tone) => {
    const code = colour ? CODES[tone] : undefined;
    return code === undefined || text === '' ? text : `\u001b[${code}m${text}\u001b[0m`;
  };
}

const STATE_TONES: Readonly<Record<string, Tone>> = {
  open: 'good',
  on: 'good',
  succeeded: 'good',
  applied: 'good',
  planned: 'plain',
  planning: 'plain',
  applying: 'plain',
  held: 'warning',
  off: 'quiet',
  skipped: 'quiet',
  'not-applied': 'quiet',
  conflict: 'warning',
  expired: 'warning',
  unserved: 'warning',
  unreachable: 'bad',
  quarantined: 'bad',
  'not-admitted': 'warning',
  running: 'good',
  completed: 'good',
  done: 'good',
  ready: 'good',
  baking: 'plain',
  waiting: 'quiet',
  paused: 'warning',
  aborted: 'bad',
  killed: 'bad',
  stopped: 'bad',
  refused: 'bad',
  failed: 'bad',
  malformed: 'bad',
};

/** The tone of a state of a run, gate, flag, change or rollout. */
export function toneOf(state: string): Tone {
  return STATE_TONES[state] ?? 'plain';
}
