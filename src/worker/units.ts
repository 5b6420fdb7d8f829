import pg from 'pg';
import { quoteTable } from '../journal/shape.js';
import type { UnitSource } from '../sdk/contract.js';

/** The query for a region (`$1`) whose rows are its units, as text, in `unit`. */
export function unitsQuery({ table, key, region }: UnitSource): string {
  return `select ${pg.escapeIdentifier(key)}::text as unit from ${quoteTable(table)} where ${pg.escapeIdentifier(region)} = $1`;
}

/** The query for how many rows (`n`) of a table are in a region (`$1`); `region` is the table's column. */
export function countQuery({ table, region }: Pick<UnitSource, 'table' | 'region'>): string {
  return `select count(*) as n from ${quoteTable(table)} where ${pg.escapeIdentifier(region)} = $1`;
}
