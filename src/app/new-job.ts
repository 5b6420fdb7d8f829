import type { FurtherGrants } from '../worker/job-grants.js';
import type { TableFacts } from './introspect.js';

/** What the new job does: rows of a table that have one value in a column get another, or are deleted. */
export interface NewJob {
  readonly name: string;
  /** The variable that holds the database's URL. */
  readonly variable: string;
  readonly unit: TableFacts;
  /** The column that identifies a unit, and the one with its region. */
  readonly unitKey: string;
  readonly region: string;
  readonly table: TableFacts;
  /** The column of the table that refers to the unit; its key where the units themselves are changed. */
  readonly unitColumn: string;
  readonly column: string;
  readonly from: string;
  /** Null: rows are deleted. */
  readonly to: string | null;
  /** What goes with deleted rows: tables, and by which columns, what is referenced first. */
  readonly going: readonly Going[];
  readonly regions: readonly string[];
  /** What a run would change today, at the most: in one region, for one unit, and of a region's rows in percent. */
  readonly today: { readonly perRun: number; readonly perUnit: number; readonly percent: number };
  /** All tables that take part, the unit's first. */
  readonly tables: readonly TableFacts[];
  readonly further: FurtherGrants;
  /** Tables that triggers write besides: no restore undoes that. */
  readonly triggered: readonly string[];
}

/** Rows of a table that go with others, or are set to null or a default. */
export interface Going {
  readonly table: string;
  readonly columns: readonly string[];
  readonly with: string;
  readonly referenced: readonly string[];
}

/** `customer` of `public.customers`: what its rows are called in subjects and in the journal. */
export function resourceOf({ table }: TableFacts): string {
  const last = table
    .slice(table.lastIndexOf('.') + 1)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-');
  return last.length > 1 && last.endsWith('s') ? last.slice(0, -1) : last;
}

/** `dormant`, of the value that is set; `drop-session`, of rows that are deleted. */
export function kindOf({ to, table }: Pick<NewJob, 'to' | 'table'>): string {
  if (to === null) return `drop-${resourceOf(table)}`;
  const slug = to
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return /^[a-z]/.test(slug) ? slug : `set-${slug}`.replace(/-$/, '');
}

/** The tables that `cascades` names. */
export function cascadesOf({ going }: Pick<NewJob, 'going'>): string[] {
  return [...new Set(going.map(({ table }) => table))].sort();
}
