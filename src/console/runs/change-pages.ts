/** Where a page begins: at a place that is known, or behind a cursor. */
export interface PageAsked {
  readonly from?: string;
  readonly cursor?: string;
  readonly limit: number;
}

export interface PageRead<Row> {
  readonly items: readonly Row[];
  readonly next: string | null;
}

interface PagesOptions<Row> {
  /** How many changes each lane has, in order, where every change is listed: then any place can be read at once. */
  readonly lanes?: readonly { readonly lane: number; readonly changes: number }[] | undefined;
  read(page: PageAsked): Promise<PageRead<Row>>;
  /** Something is there that was not, or is no longer. */
  changed(): void;
}

export const PAGE_ROWS = 200;
/** So many pages are kept: of a million changes, those that are looked at. */
const KEPT = 30;

/** Any number of a run's changes, page by page: those that are looked at, and a few more. */
export class ChangePages<Row> {
  readonly #options: PagesOptions<Row>;
  readonly #pages = new Map<number, readonly Row[]>();
  readonly #asked = new Set<number>();
  /** Behind which cursor a page begins; undefined: it is the first. */
  readonly #cursors = new Map<number, string | undefined>([[0, undefined]]);
  #wanted = { first: 0, last: 0 };
  #total: number;
  #more: boolean;
  #error: unknown;

  constructor(options: PagesOptions<Row>) {
    this.#options = options;
    this.#more = options.lanes === undefined;
    this.#total = options.lanes?.reduce((sum, { changes }) => sum + changes, 0) ?? 0;
  }

  /** How many there are, as far as is known. */
  get total(): number {
    return this.#total;
  }

  /** Whether there are more behind these. */
  get more(): boolean {
    return this.#more;
  }

  /** What the last reading failed with. */
  get error(): unknown {
    return this.#error;
  }

  /** Undefined: not read yet, or no longer kept. */
  row(at: number): Row | undefined {
    return this.#pages.get(Math.floor(at / PAGE_ROWS))?.[at % PAGE_ROWS];
  }

  /** Reads the rows from `first` to before `last`, where they are not there. */
  want(first: number, last: number): void {
    this.#wanted = {
      first: Math.floor(first / PAGE_ROWS),
      last: Math.floor(Math.max(first, last - 1) / PAGE_ROWS),
    };
    void this.#readWanted();
  }

  /** Tries again what failed. */
  retry(): void {
    this.#error = undefined;
    void this.#readWanted();
  }

  async #readWanted(): Promise<void> {
    if (this.#error !== undefined || this.#asked.size > 0) return;
    const page = this.#next();
    if (page === undefined) return;
    this.#asked.add(page);
    try {
      const read = await this.#options.read(this.#addressOf(page));
      this.#keep(page, read);
    } catch (error) {
      this.#error = error;
    }
    this.#asked.delete(page);
    this.#options.changed();
    // What is wanted may be elsewhere by now.
    await this.#readWanted();
  }

  /** The first page that is wanted and is not there; where pages follow one another, the one that leads to it. */
  #next(): number | undefined {
    for (let page = this.#wanted.first; page <= this.#wanted.last; page += 1) {
      if (this.#pages.has(page)) continue;
      if (this.#options.lanes !== undefined) return page * PAGE_ROWS < this.#total ? page : undefined;
      if (this.#cursors.has(page)) return page;
      return this.#more ? Math.max(...this.#cursors.keys()) : undefined;
    }
    return undefined;
  }

  #addressOf(page: number): PageAsked {
    const limit = PAGE_ROWS;
    const { lanes } = this.#options;
    if (lanes === undefined) {
      const cursor = this.#cursors.get(page);
      return cursor === undefined ? { limit } : { limit, cursor };
    }
    let before = page * PAGE_ROWS;
    for (const { lane, changes } of lanes) {
      if (before < changes) return { limit, from: `${lane}.${before + 1}` };
      before -= changes;
    }
    return { limit };
  }

  #keep(page: number, { items, next }: PageRead<Row>): void {
    this.#pages.set(page, items);
    if (this.#options.lanes === undefined) {
      this.#total = Math.max(this.#total, page * PAGE_ROWS + items.length);
      if (next === null) this.#more = false;
      else this.#cursors.set(page + 1, next);
    }
    const middle = (this.#wanted.first + this.#wanted.last) / 2;
    const pages = [...this.#pages.keys()].sort(
      (one, other) => Math.abs(other - middle) - Math.abs(one - middle),
    );
    for (const far of pages.slice(0, Math.max(0, this.#pages.size - KEPT))) this.#pages.delete(far);
  }
}
