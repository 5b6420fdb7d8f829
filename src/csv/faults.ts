import { PortcullisError } from '../kernel/errors.js';

/** One thing that is wrong, and where: the line is that on which the faulty record begins, from 1. */
export interface Fault {
  readonly file: string;
  readonly line: number;
  readonly reason: string;
}

/** How many faults a person is shown; all are counted. */
export const SHOWN_FAULTS = 50;

/** The faults of one import, collected so that a person can correct them all at once. Holds only the first of many. */
export class Faults {
  #kept: Fault[] = [];
  #total = 0;
  readonly #files: string[] = [];

  get total(): number {
    return this.#total;
  }

  add(file: string, line: number, reason: string): void {
    this.addCounted(file, [{ line, reason }], 1);
  }

  /** Adds the first of `total` faults of one kind, found elsewhere and already cut to a shown number. */
  addCounted(file: string, first: readonly Omit<Fault, 'file'>[], total: number): void {
    if (total === 0) return;
    if (!this.#files.includes(file)) this.#files.push(file);
    this.#total += total;
    this.#kept.push(...first.map((fault) => ({ file, ...fault })));
    if (this.#kept.length > 4 * SHOWN_FAULTS) this.#kept = this.first();
  }

  /** The first faults, file by file in the order in which the files were met, then by line. */
  first(): Fault[] {
    const order = (fault: Fault): number => this.#files.indexOf(fault.file);
    return this.#kept.toSorted((a, b) => order(a) - order(b) || a.line - b.line).slice(0, SHOWN_FAULTS);
  }

  /** The first faults, a line each, and how many more there are. */
  lines(): string[] {
    const faults = this.first();
    const lines = faults.map(({ file, line, reason }) => `${file}:${line}: ${reason}`);
    return this.#total > faults.length ? [...lines, `… and ${this.#total - faults.length} more`] : lines;
  }

  /** Throws CSV_INVALID with the first faults and the count of all, if there is any, and what came of it. */
  throwIfAny(hint: string, consequence = 'nothing was imported'): void {
    if (this.#total === 0) return;
    const faults = this.first();
    const lines = this.lines();
    const count = this.#total === 1 ? '1 fault' : `${this.#total} faults`;
    throw new PortcullisError('CSV_INVALID', `${count}; ${consequence}\n${lines.join('\n')}`, {
      hint,
      details: { total: this.#total, faults },
    });
  }
}
