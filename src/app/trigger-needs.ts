import { quoteTable } from '../journal/shape.js';
import type { TableFacts } from './introspect.js';

/** What the triggers of tables need: further tables, and grants for whoever fires them. */
export interface TriggerNeeds {
  readonly tables: readonly TableFacts[];
  /** Those that a trigger writes: no restore undoes that. */
  readonly written: readonly string[];
  /** Quoted: `insert on public.audit`. */
  readonly worker: readonly string[];
}

/**
 * What the functions of tables' triggers read and write, as far as their text tells: SQL that a function puts together is
 * not understood. A function with its owner's rights needs no grant.
 */
export function triggerNeeds(tables: readonly TableFacts[], all: readonly TableFacts[]): TriggerNeeds {
  const mentioned = new Set<TableFacts>();
  const written = new Set<string>();
  const worker = new Set<string>();
  for (const { source, schema, definer } of tables.flatMap(({ triggers }) => triggers)) {
    if (source === null) continue;
    const text = source.replace(/--[^\n]*/g, ' ').replace(/\/\*[^]*?\*\//g, ' ');
    for (const table of all) {
      const used = privileges(text, named(table, schema));
      if (used.length === 0) continue;
      mentioned.add(table);
      if (used.some((each) => each !== 'select')) written.add(table.table);
      if (definer) continue;
      worker.add(`${used.join(', ')} on ${quoteTable(table.table)}`);
      if (used.includes('insert'))
        for (const { made, sequence } of table.columns)
          if (made === 'sequence' && sequence) worker.add(`usage on sequence ${sequence}`);
    }
  }
  return { tables: [...mentioned], written: [...written].sort(), worker: [...worker] };
}

/** How a function may name a table: with its schema, or without where that is the function's own, or public. */
function named({ table }: TableFacts, functions: string): string {
  const [own = '', name = ''] = table.split('.');
  const [schema, last] = [own, name].map((part) => `"?${part.replace(/[^\w]/g, '\\$&')}"?`);
  const bare = ['public', functions].includes(own) ? '?' : '';
  return `(?:${schema ?? ''}\\s*\\.\\s*)${bare}${last ?? ''}(?![\\w"])`;
}

/** What is done with a table that a text names: a row that is looked for is read, also to change or delete it. */
function privileges(text: string, table: string): string[] {
  const found = (before: string): boolean =>
    new RegExp(`\\b${before}\\s+(?:only\\s+)?${table}`, 'i').test(text);
  const writes = [
    ...(found('insert\\s+into') ? ['insert'] : []),
    ...(found('update') ? ['update'] : []),
    ...(found('delete\\s+from') ? ['delete'] : []),
  ];
  const reads = found('(?<!delete\\s+)from') || found('join') || found('using');
  const changes = writes.some((each) => each !== 'insert') || /\bon\s+conflict\b/i.test(text);
  return reads || (writes.length > 0 && changes) ? ['select', ...writes] : writes;
}
