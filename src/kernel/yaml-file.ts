import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { messageOf } from './errors.js';

/** A configuration file's content as its schema has it; undefined, and every fault in `faults`, where it does not fit. */
export function readYamlFile<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  faults: string[],
): { readonly given: unknown; readonly read: z.output<Schema> | undefined } {
  const given = parsed(file, faults);
  const { data, error } = schema.safeParse(given, {
    error: ({ code, input }) => (code === 'invalid_type' && input === undefined ? 'is missing' : undefined),
  });
  for (const { path, message } of error?.issues ?? [])
    faults.push(`${file}: ${path.length === 0 ? '' : `${shown(path)}: `}${message}`);
  return { given, read: data };
}

function parsed(file: string, faults: string[]): unknown {
  try {
    const document = parseDocument(readFileSync(file, 'utf8'));
    const [broken] = document.errors;
    if (broken === undefined) return document.toJS({ maxAliasCount: 0 }) as unknown;
    faults.push(`${file}: is not YAML: ${broken.message.split('\n')[0] ?? ''}`);
  } catch (error) {
    faults.push(`${file}: ${messageOf(error)}`);
  }
  return {};
}

/** `signIn.groups[2].role`, counted from one as people do. */
function shown(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part + 1}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}
