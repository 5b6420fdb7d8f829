import type { PlannerDatabase, Rows } from './contract.js';

/** Makes a tag and function of a database's rows. What a template inserts becomes a parameter. */
export function rowsOf(db: PlannerDatabase): Rows {
  return ((sql: string | TemplateStringsArray, ...rest: readonly unknown[]) => {
    if (typeof sql === 'string') return db.rows(sql, rest[0] as readonly unknown[] | undefined);
    const missing = rest.findIndex((value) => value === undefined);
    if (missing >= 0) {
      throw new TypeError(
        `rows\`${sql.join('…')}\`: value ${missing + 1} is undefined; use null for SQL's null`,
      );
    }
    return db.rows(
      sql.reduce((text, part, at) => `${text}$${at}${part}`),
      rest.map(bound),
    );
  }) as Rows;
}

/** A time as text in UTC: what the driver makes of it depends on the machine's time zone. */
function bound(value: unknown): unknown {
  return value instanceof Date ? value.toISOString() : value;
}
