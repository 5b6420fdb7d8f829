import { z } from 'zod';
import { MAY_DO, ROLES, type Standing } from '../access/roles.js';
import { ERRORS, type ErrorCode } from '../kernel/errors.js';
import { IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED } from './idempotency.js';
import { ARCHIVE_TYPE } from './archive.js';
import { addressOf, mayBeEmpty, needsToken, type Operation } from './operation.js';
import { namedSchemas } from '../kernel/schema.js';
import { PROBLEM_TYPE } from './schemas.js';

type Json = Record<string, unknown>;

const SCHEMAS = '#/components/schemas/';

const KEY_PARAMETER = 'IdempotencyKey';
const keyParameter: Json = {
  name: IDEMPOTENCY_KEY,
  in: 'header',
  required: false,
  description:
    'a key of your own for this act: the same call with the same key is carried out once, and answered the same for 24 h',
  schema: { type: 'string', minLength: 1, maxLength: 200, pattern: '^[ -~]+$' },
};
const REPLAYED_HEADER = 'IdempotentReplayed';
const replayedHeader: Json = {
  description: 'true: this was answered before to the same key, and nothing was done now',
  schema: { const: 'true' },
};

const isKeyed = ({ keyed }: Operation): boolean => keyed !== 'no';

/** The OpenAPI 3.1 document of these operations. */
export function openApiOf(operations: readonly (readonly [string, Operation])[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const [name, each] of operations) {
    const { method, path: route } = addressOf(each);
    const path = route.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [method]: described(name, each) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Portcullis',
      version,
      description:
        'Progressive-rollout feature flags and job gating. Errors are explained in docs/reference/errors.md.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [],
    paths,
    components: {
      parameters: { [KEY_PARAMETER]: keyParameter },
      headers: { [REPLAYED_HEADER]: replayedHeader },
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: componentSchemas(),
    },
  };
}

function described(operationId: string, operation: Operation): Json {
  const { body, reply } = operation;
  const answers = reply.statuses.map((status) => [
    String(status),
    {
      description: status < 400 ? 'the answer' : 'the answer, where it is negative',
      ...(isKeyed(operation) && {
        headers: { [IDEMPOTENT_REPLAYED]: { $ref: `#/components/headers/${REPLAYED_HEADER}` } },
      }),
      content: content(reply),
    },
  ]);
  return {
    operationId,
    summary: operation.summary,
    ...rolesNeeded(operation),
    security: needsToken(operation) ? [{ bearer: [] }] : [],
    parameters: [
      ...parameters('path', operation.params),
      ...parameters('query', operation.query),
      ...(isKeyed(operation) ? [{ $ref: `#/components/parameters/${KEY_PARAMETER}` }] : []),
    ],
    ...(body && {
      requestBody: {
        required: !mayBeEmpty(body),
        content: content({ schema: body, contentType: 'application/json' }),
      },
    }),
    ...(operation.kind === 'upload' && {
      requestBody: { required: true, content: { [ARCHIVE_TYPE]: { schema: {} } } },
    }),
    responses: { ...problems(operation), ...(Object.fromEntries(answers) as Json) },
  };
}

/** Said only where not every role will do. */
function rolesNeeded({ action }: Operation): Json {
  if (action === 'anyone') return {};
  const roles = ROLES.filter((role) => (MAY_DO[action] as readonly Standing[]).includes(role));
  return roles.length === ROLES.length ? {} : { description: `Takes the role ${roles.join(', ')}.` };
}

function content({ schema, contentType }: { schema: z.ZodType; contentType: string }): Json {
  return { [contentType.split(';')[0] ?? contentType]: { schema: schemaOf(schema, 'output') } };
}

function parameters(where: 'path' | 'query', schema: z.ZodObject): Json[] {
  return Object.entries(schema.shape).map(([name, each]) => {
    const { description, ...rest } = schemaOf(each as z.ZodType, 'input');
    const required = where === 'path' || !(each as z.ZodType).safeParse(undefined).success;
    return { name, in: where, required, ...(description !== undefined && { description }), schema: rest };
  });
}

/** The errors that an operation can answer, by status. */
function problems(operation: Operation): Json {
  // A parameter that is not known is refused everywhere.
  const codes: ErrorCode[] = ['INTERNAL', 'REQUEST_INVALID', ...operation.errors];
  if (operation.body !== undefined) codes.push('BODY_TOO_LARGE');
  if (isKeyed(operation)) {
    codes.push('IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_KEY_IN_USE', 'IDEMPOTENCY_OUTCOME_UNKNOWN');
    if (operation.keyed === 'secret') codes.push('IDEMPOTENCY_ANSWER_NOT_KEPT');
  }
  if (needsToken(operation)) codes.push('TOKEN_MISSING', 'TOKEN_REFUSED', 'DATABASE_UNREACHABLE');
  if ('description' in rolesNeeded(operation)) codes.push('FORBIDDEN');
  const responses: Json = {};
  for (const status of new Set(codes.map((code) => ERRORS[code].status))) {
    const those = codes.filter((code) => ERRORS[code].status === status);
    responses[String(status)] = {
      description: those.map((code) => `${code}: ${ERRORS[code].title}`).join('. '),
      content: { [PROBLEM_TYPE]: { schema: { $ref: `${SCHEMAS}Problem` } } },
    };
  }
  return responses;
}

/** A reference where the schema has a name, else the schema itself. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const name = namedSchemas.get(schema)?.id;
  return name === undefined
    ? plain(z.toJSONSchema(schema, { io, override: tidy }))
    : { $ref: SCHEMAS + name };
}

function componentSchemas(): Json {
  const { schemas } = z.toJSONSchema(namedSchemas, { uri: (id) => SCHEMAS + id, override: tidy });
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, plain(schema)]));
}

/** OpenAPI says once for all schemas which dialect they speak, and names them by their place. */
function plain(schema: Json): Json {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== '$schema' && key !== '$id'));
}

/** A format says it better than the pattern that zod checks it with. */
function tidy({ jsonSchema }: { jsonSchema: { format?: unknown; pattern?: unknown } }): void {
  if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
}
