import { z } from 'zod';
import type { Problem } from '../operations/schemas.js';
import { ERRORS, PortcullisError, type ErrorCode } from '../kernel/errors.js';
import { isUnreachable } from '../postgres/pool.js';
import { isReadOnly, readOnlyError } from '../postgres/read-only.js';

/** What Express and its body parser throw for requests that they refuse. */
const Refused = z.object({
  status: z.int().min(400).max(499),
  type: z.string().default(''),
  message: z.string(),
  limit: z.number().default(0),
});

/**
 * Anything that was thrown, as an error of ours. What is not meant for the caller (a bug's message, an
 * address inside the house) becomes INTERNAL or DATABASE_UNREACHABLE without particulars: the log has them.
 */
export function knownError(thrown: unknown): PortcullisError {
  if (thrown instanceof PortcullisError) return thrown;
  if (isUnreachable(thrown)) {
    return new PortcullisError('DATABASE_UNREACHABLE', 'the database does not answer', {
      hint: 'try again in a few seconds; /readyz tells when it is back',
      cause: thrown,
    });
  }
  if (isReadOnly(thrown)) return readOnlyError(thrown);
  if (UNSTORABLE.has(String((thrown as { code?: unknown } | null)?.code)))
    return new PortcullisError(
      'REQUEST_INVALID',
      'the request holds a character that the database cannot hold',
      {
        hint: 'send texts without U+0000 and without half a character (a lone surrogate)',
        cause: thrown,
      },
    );
  const refused = Refused.safeParse(thrown);
  if (refused.success) return refusal(refused.data, thrown);
  return new PortcullisError('INTERNAL', 'the request failed by a fault in Portcullis', {
    hint: "find the request's id in the log, and report it with what stands there",
    cause: thrown,
  });
}

function refusal({ type, message, limit }: z.infer<typeof Refused>, cause: unknown): PortcullisError {
  switch (type) {
    case 'entity.too.large':
      return new PortcullisError('BODY_TOO_LARGE', `the request body is over ${limit / 1_024} KiB`, {
        hint: 'send less at once',
        cause,
      });
    case 'entity.parse.failed':
      return new PortcullisError('REQUEST_INVALID', `the request body is not JSON: ${message}`, {
        hint: 'send one JSON object',
        cause,
      });
    default:
      return new PortcullisError('REQUEST_INVALID', message, { cause });
  }
}

/** SQLSTATEs of a character that PostgreSQL has no place for, where none of the schemas has found it. */
const UNSTORABLE = new Set(['22021', '22P05']);

export function problemOf(error: PortcullisError, requestId: string): Problem {
  const { status, title } = ERRORS[error.code];
  return {
    type: problemType(error.code),
    title,
    status,
    detail: error.message,
    instance: `urn:portcullis:request:${requestId}`,
    code: error.code,
    ...(error.hint !== undefined && { hint: error.hint }),
    ...(Object.keys(error.details).length > 0 && { details: { ...error.details } }),
  };
}

function problemType(code: ErrorCode): string {
  return `urn:portcullis:error:${code}`;
}
