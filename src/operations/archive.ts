import { z } from 'zod';
import type { Action } from '../access/roles.js';
import type { OperationContext } from './context.js';
import {
  operation,
  type Address,
  type Caller,
  type Checked,
  type Given,
  type Operation,
  type Spec,
} from './operation.js';

/** What an upload has received: its files, in a temporary folder that is removed behind the operation. */
export interface Received {
  /** Paths, by the name that each has in the archive. */
  readonly files: Readonly<Record<string, string>>;
  readonly sha256: string;
}

/** What a download answers. */
export interface Archive {
  readonly bytes: number;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Removes what it was made of, whether it was read or not. */
  close(): Promise<void>;
}

export const ARCHIVE_TYPE = 'application/x-tar';

type ArchiveSpec<
  At extends Address,
  Needs extends Action | 'anyone',
  Params extends z.ZodObject | undefined,
  Query extends z.ZodObject | undefined,
  Input,
  Output,
> = Omit<
  Spec<At, Needs, Params, Query, undefined, z.ZodUnknown>,
  'kind' | 'contentType' | 'run' | 'result'
> & {
  run(
    context: OperationContext,
    input: Checked<Params> & Checked<Query> & Input,
    caller: Caller<Needs>,
    signal: AbortSignal | undefined,
  ): Promise<Output>;
};

/** An operation that answers with an archive of files, which is read in flat memory at both ends. */
export function download<
  At extends Address,
  Needs extends Action | 'anyone',
  Params extends z.ZodObject | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
>(
  spec: ArchiveSpec<At, Needs, Params, Query, unknown, Archive>,
): Operation<At, Given<Params> & Given<Query>, AsyncIterable<Uint8Array>> {
  const made: unknown = operation({
    ...spec,
    kind: 'download',
    contentType: ARCHIVE_TYPE,
    result: z.unknown(),
  } as never);
  return made as Operation<At, Given<Params> & Given<Query>, AsyncIterable<Uint8Array>>;
}

/** What a client gives an upload: a file of a browser, or what makes the bytes, again where they are sent again. */
export type Upload = Blob | (() => AsyncIterable<Uint8Array>);

/** An act on an archive of files, which is received in flat memory before the act begins. */
export function upload<
  At extends Address,
  Needs extends Action | 'anyone',
  Result extends z.ZodType,
  Params extends z.ZodObject | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
>(
  spec: ArchiveSpec<At, Needs, Params, Query, { readonly archive: Received }, z.output<Result>> & {
    readonly result: Result;
  },
): Operation<At, Given<Params> & Given<Query> & { readonly archive: Upload }, z.output<Result>> {
  const made: unknown = operation({ ...spec, kind: 'upload' } as never);
  return made as Operation<At, Given<Params> & Given<Query> & { readonly archive: Upload }, z.output<Result>>;
}
