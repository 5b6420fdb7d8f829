/** Browsers draw nothing that is higher than some 17 to 33 million pixels. */
export const MOST_HEIGHT = 8_000_000;

export interface Rows {
  readonly count: number;
  readonly rowHeight: number;
  /** Of the window onto them. */
  readonly viewHeight: number;
}

/** How high all rows are, or pretend to be. */
export function heightOf({ count, rowHeight }: Rows): number {
  return Math.min(count * rowHeight, MOST_HEIGHT);
}

/** Which row is at the top, with how much of it has gone by: at the end of the height, the last rows fill the window. */
export function topRow(rows: Rows, scrollTop: number): number {
  const scrollable = heightOf(rows) - rows.viewHeight;
  if (scrollable <= 0) return 0;
  return Math.min(1, Math.max(0, scrollTop / scrollable)) * lastTop(rows);
}

/** How far to scroll for that row to be at the top. */
export function scrollTopOf(rows: Rows, row: number): number {
  const scrollable = heightOf(rows) - rows.viewHeight;
  if (scrollable <= 0 || lastTop(rows) <= 0) return 0;
  return (Math.min(row, lastTop(rows)) / lastTop(rows)) * scrollable;
}

const lastTop = ({ count, rowHeight, viewHeight }: Rows): number =>
  Math.max(0, count - viewHeight / rowHeight);
