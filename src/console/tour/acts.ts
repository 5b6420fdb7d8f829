/** An act of the tour, as its entries in the audit log tell. */
export interface ActShown {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly state: 'next' | 'now' | 'done';
  readonly commands: readonly string[];
  readonly result: readonly string[];
  /** The screen that shows it. */
  readonly view: string;
}

export interface TourShown {
  readonly acts: readonly ActShown[];
  readonly state: 'now' | 'over' | 'stopped';
  readonly why: string;
  readonly by: string;
  readonly beganAt: string;
}

interface Entry {
  readonly at: string;
  readonly principal: string;
  readonly subject: string;
  readonly evidence: Readonly<Record<string, unknown>>;
}

/** The newest tour; `entries` are the newest first. Undefined: none is among them. */
export function actsOf(entries: readonly Entry[]): TourShown | undefined {
  const began = entries.find(({ subject }) => subject === 'begins');
  if (began === undefined) return undefined;
  const own = entries.filter(({ evidence }) => evidence['tour'] === began.evidence['tour']);
  const acts = listOf(began.evidence['acts']).map((act): ActShown => {
    const { id, title, text, view } = (act ?? {}) as Readonly<Record<string, unknown>>;
    // The newest is the first: what it has come to, or that it is played.
    const told = own.find(({ subject }) => subject === id)?.evidence ?? {};
    return {
      ...{ id: textOf(id), title: textOf(title), text: textOf(text), view: textOf(told['view'] ?? view) },
      state: told['state'] === 'done' ? 'done' : told['state'] === 'now' ? 'now' : 'next',
      // A command that names what its act brings about is told when that is known.
      commands: listOf(told['commands'])
        .map(textOf)
        .filter((command) => !command.includes('{')),
      result: listOf(told['result']).map(textOf),
    };
  });
  const ends = own.filter(({ subject }) => subject === 'ends');
  const stopped = ends.find(({ evidence }) => evidence['state'] === 'stopped');
  return {
    acts,
    state: stopped !== undefined ? 'stopped' : ends.length > 0 ? 'over' : 'now',
    why: textOf(stopped?.evidence['why']),
    by: began.principal,
    beganAt: began.at,
  };
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
