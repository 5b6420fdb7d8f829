import type { Output } from '../outputs.js';

export type Change = Output<'listRunChanges'>['items'][number];
export type Image = Change['before'];

export interface ChangedColumn {
  readonly column: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** What a change does to its row, column by column; undefined: there is none before or after. */
export function changedColumns({ before, after }: Pick<Change, 'before' | 'after'>): ChangedColumn[] {
  if (after === null)
    return columnsOf(before).map(([column, value]) => ({ column, before: value, after: undefined }));
  return columnsOf(after).flatMap(([column, value]) => {
    const was = before === null ? undefined : textOf(before[column] ?? null);
    return was === value ? [] : [{ column, before: was, after: value }];
  });
}

export const columnsOf = (image: Image): [string, string][] =>
  Object.entries(image ?? {}).map(([column, value]) => [column, textOf(value)]);

const textOf = (value: NonNullable<Image>[string]): string => (value === null ? 'null' : String(value));
