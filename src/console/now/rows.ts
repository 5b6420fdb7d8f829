import type { GateState, Place } from './place.js';

/** What gates stand together by. */
export type Grouping = 'job' | 'region' | 'state';

export interface Filter {
  readonly text: string;
  /** Only in these states; empty: in any. */
  readonly states: ReadonlySet<GateState>;
}

export interface Group {
  readonly name: string;
  readonly places: readonly Place[];
}

/** A line of the page: the name of a group, or as many of its gates as stand side by side. */
export type Row =
  | { readonly kind: 'group'; readonly top: number; readonly group: Group }
  | {
      readonly kind: 'gates';
      readonly top: number;
      readonly places: readonly Place[];
      readonly first: number;
    };

/** The places that a person looks for: each word of the text is somewhere in job, region, version, state or reason. */
export function filtered(places: readonly Place[], { text, states }: Filter): readonly Place[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (states.size === 0 && words.length === 0) return places;
  return places.filter(
    (place) =>
      (states.size === 0 || states.has(place.gate.state)) &&
      (words.length === 0 || words.every((word) => textOf(place).includes(word))),
  );
}

/** What a gate is found by; it is asked for at every letter of a search. */
const texts = new WeakMap<Place['gate'], string>();

function textOf({ job, gate }: Place): string {
  const known = texts.get(gate);
  if (known !== undefined) return known;
  const versions = gate.versions.map(({ version }) => version).join(' ');
  const text = `${job.job} ${gate.region} ${gate.state} ${versions} ${gate.why}`.toLowerCase();
  texts.set(gate, text);
  return text;
}

/** Groups by name; those by state in the order given. */
export function grouped(places: readonly Place[], by: Grouping, states: readonly GateState[]): Group[] {
  const groups = new Map<string, Place[]>();
  const nameOf = ({ job, gate }: Place): string =>
    ({ job: job.job, region: gate.region, state: gate.state })[by];
  for (const place of places) {
    const name = nameOf(place);
    const group = groups.get(name);
    if (group) group.push(place);
    else groups.set(name, [place]);
  }
  const order = (name: string): number => (by === 'state' ? states.indexOf(name as GateState) : 0);
  return [...groups]
    .map(([name, own]) => ({ name, places: own }))
    .sort((one, other) => order(one.name) - order(other.name) || (one.name < other.name ? -1 : 1));
}

export interface Sizes {
  readonly columns: number;
  readonly groupHeight: number;
  readonly gatesHeight: number;
}

/** Where each line stands, from the top; and how high all of them are. */
export function laidOut(
  groups: readonly Group[],
  { columns, groupHeight, gatesHeight }: Sizes,
): { readonly rows: readonly Row[]; readonly height: number } {
  const rows: Row[] = [];
  let top = 0;
  let first = 0;
  for (const group of groups) {
    rows.push({ kind: 'group', top, group });
    top += groupHeight;
    for (let at = 0; at < group.places.length; at += columns) {
      const places = group.places.slice(at, at + columns);
      rows.push({ kind: 'gates', top, places, first });
      first += places.length;
      top += gatesHeight;
    }
  }
  return { rows, height: top };
}

/** In the root's font size: a gate's cell at its smallest, what stands between two, and the name of a group. */
export const CELL = { width: 17, height: 7.75, gap: 0.5, group: 2.75 } as const;

export const columnsIn = (width: number, scale: number): number =>
  Math.max(1, Math.floor((width + CELL.gap) / (CELL.width * scale + CELL.gap)));

/** More than so many never fit on a wall any larger. */
const MOST_ENLARGED = 60;

/** How much larger than at their smallest cells are where all of them fit in the window all the same: for a wall. */
export function scaleIn(groups: readonly Group[], width: number, height: number): number {
  const gates = groups.reduce((sum, { places }) => sum + places.length, 0);
  if (gates > MOST_ENLARGED || columnsIn(width, 1) < 2) return 1;
  const fits = (scale: number): boolean => {
    const columns = columnsIn(width, scale);
    const lines = groups.reduce((sum, { places }) => sum + Math.ceil(places.length / columns), 0);
    return groups.length * CELL.group + lines * (CELL.height * scale + CELL.gap) <= height;
  };
  return [1.75, 1.5, 1.25].find(fits) ?? 1;
}

/** The lines that are seen between two heights. */
export function between(rows: readonly Row[], from: number, to: number): { first: number; last: number } {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rows[middle]?.top ?? 0) <= from) low = middle + 1;
    else high = middle;
  }
  const first = Math.max(0, low - 1);
  let last = first;
  while (last < rows.length && (rows[last]?.top ?? 0) < to) last += 1;
  return { first, last };
}

/** The gate that an arrow key leads to from another, both by their place in the order on the page. */
export function moved(rows: readonly Row[], from: number, key: string): number {
  const lines = rows.filter((row) => row.kind === 'gates');
  const line = lines.findIndex(({ first, places }) => from >= first && from < first + places.length);
  const here = lines[line];
  const last = (lines.at(-1)?.first ?? 0) + (lines.at(-1)?.places.length ?? 0) - 1;
  if (here === undefined) return Math.min(from, Math.max(0, last));
  const column = from - here.first;
  const inLine = (at: number): number => {
    const to = lines[Math.max(0, Math.min(lines.length - 1, at))];
    return to === undefined ? from : to.first + Math.min(column, to.places.length - 1);
  };
  switch (key) {
    case 'ArrowLeft':
      return Math.max(0, from - 1);
    case 'ArrowRight':
      return Math.min(last, from + 1);
    case 'ArrowUp':
      return inLine(line - 1);
    case 'ArrowDown':
      return inLine(line + 1);
    case 'PageUp':
      return inLine(line - 5);
    case 'PageDown':
      return inLine(line + 5);
    case 'Home':
      return 0;
    case 'End':
      return last;
    default:
      return from;
  }
}
