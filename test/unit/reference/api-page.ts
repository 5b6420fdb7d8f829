import type { Route } from '../../../src/server/router.js';
import { partsOf } from '../../../src/operations/operation.js';
import { code, headOf, sentence, tableOf } from './markdown.js';

/** The parts of an OpenAPI document that the page shows. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly format?: string;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>;

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Schema;
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters: readonly (Parameter | { readonly $ref: string })[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content: Content }>>;
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** docs/reference/api.md: every call, from the OpenAPI document and the table of routes. */
export function apiPage(document: OpenApi, routes: readonly Route[]): string {
  const page = new ApiPage(document);
  const byTopic = new Map<string, Route[]>();
  for (const route of routes) {
    const topic = topicOf(route.path);
    byTopic.set(topic, [...(byTopic.get(topic) ?? []), route]);
  }
  const contents = [...byTopic].map(
    ([topic, those]) =>
      `- [${topic}](#${topic.toLowerCase()}): ${those.map(({ operationId }) => code(operationId)).join(', ')}`,
  );
  const sections = [...byTopic].map(
    ([topic, those]) => `## ${topic}\n\n${those.map((route) => page.call(route)).join('\n\n')}`,
  );
  return `${headOf('API', 'the table of routes and its OpenAPI document')}

\`GET /api/v1/openapi.json\` is the OpenAPI 3.1 document that this page shows. Calls under \`/api/\` take a token: \`Authorization: Bearer TOKEN\`, from \`portcullis tokens issue\`. Bodies are JSON. Times are ISO 8601 in UTC, durations milliseconds. A list answers \`items\` and \`next\`: pass \`next\` as \`cursor\` for the page behind it.

An error is \`application/problem+json\` with \`code\`, \`title\`, \`detail\`, \`hint\`, \`status\` and \`instance\`; [errors](errors.md) explains each code. Any call may answer \`REQUEST_INVALID\` or \`INTERNAL\`; any with a body \`BODY_TOO_LARGE\`; any under \`/api/\` \`TOKEN_MISSING\`, \`TOKEN_REFUSED\`, \`FORBIDDEN\` or \`DATABASE_UNREACHABLE\`.

An act (\`POST\`) takes the header \`Idempotency-Key\`: 1 to 200 printable characters of your own, new for each act. The same call with the same key by the same token is carried out once, and answered the same for 24 hours, marked \`Idempotent-Replayed: true\`; so a call whose answer was lost is safely repeated. The key has no effect on \`killJob\`, \`stopEverything\` and \`receiveAlerts\`, which are carried out each time. [ADR 33](../adr/0033-idempotency-keys.md) says what happens where a process ends in the middle of an act.

${contents.join('\n')}

${sections.join('\n\n')}

## Views

What calls answer with. Each is a schema of the same name in the OpenAPI document.

${page.views()}
`;
}

/** `/api/v1/jobs/:job/kill`: Jobs. */
function topicOf(path: string): string {
  const [, first = ''] = /^\/api\/v1\/([^/.]+)/.exec(path) ?? [];
  return first === '' || first === 'openapi' ? 'Service' : first.charAt(0).toUpperCase() + first.slice(1);
}

/** `POST /api/v1/jobs/domain-claim/kill {"reason":"…"}`: an operation's example as it goes over the wire. */
function exampleOf({ method, path, operation: spec }: Route): string {
  const { params, query, body } = partsOf(spec, spec.example as object) as Readonly<
    Record<'params' | 'query' | 'body', Readonly<Record<string, unknown>> | undefined>
  >;
  const address = path.replaceAll(/:(\w+)/g, (_, name: string) => String(params?.[name]));
  const search = new URLSearchParams(query as Record<string, string>).toString();
  const sent = body === undefined ? '' : ` ${JSON.stringify(body)}`;
  return `${method.toUpperCase()} ${address}${search === '' ? '' : `?${search}`}${sent}`;
}

class ApiPage {
  readonly #document: OpenApi;

  constructor(document: OpenApi) {
    this.#document = document;
  }

  call({ method, path, action, operation: spec }: Route): string {
    const { errors, reply } = spec;
    const operation = this.#document.paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[method];
    if (operation === undefined) throw new Error(`the OpenAPI document lacks ${method} ${path}`);
    const given = [
      // What many calls have in common is told once, above.
      ...operation.parameters.flatMap((each) =>
        '$ref' in each
          ? []
          : [
              [
                code(each.name),
                each.in,
                this.typeOf(each.schema),
                `${each.required ? '' : 'optional. '}${sentence(each.description ?? '')}`.replace(
                  / ?\.$/,
                  '',
                ),
              ],
            ],
      ),
      ...Object.values(operation.requestBody?.content ?? {}).flatMap(({ schema }) => this.#fields(schema)),
    ];
    const answers = Object.entries(operation.responses)
      .filter(([status]) => reply.statuses.includes(Number(status)))
      .map(([status, { content }]) => {
        const [type = '', media] = Object.entries(content)[0] ?? [];
        if (media === undefined) return `${status} ${code(type)}`;
        const view = this.typeOf(media.schema);
        if (type === 'application/jsonl') return `${status} a line of JSON for each ${view} (${code(type)})`;
        return `${status} ${type === 'application/json' ? view : code(type)}`;
      });
    return [
      `### ${method.toUpperCase()} ${path}`,
      `${sentence(operation.summary)} ${action === 'anyone' ? 'Takes no token.' : `Permission: [${code(action)}](permissions.md).`}`,
      ...(given.length === 0 ? [] : [tableOf(['field', 'in', 'type', 'meaning'], given)]),
      ...(given.length === 0
        ? []
        : [`Example: ${code(exampleOf({ method, path, action, operation: spec } as Route))}`]),
      `Answers ${answers.join(', ')}.${errors.length === 0 ? '' : ` Errors: ${errors.map((each) => `[${code(each)}](errors.md#${each.toLowerCase()})`).join(', ')}.`}`,
    ].join('\n\n');
  }

  views(): string {
    return Object.entries(this.#document.components.schemas)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, schema]) => {
        const rows = this.#fields(schema).map(([field = '', , type = '', meaning = '']) => [
          field,
          type,
          meaning,
        ]);
        const body = rows.length === 0 ? this.typeOf(schema) : tableOf(['field', 'type', 'meaning'], rows);
        return `### ${name}\n\n${body}`;
      })
      .join('\n\n');
  }

  /** The properties of a schema, and of the objects in it that have no name of their own. */
  #fields(schema: Schema, above = ''): string[][] {
    const named = schema.$ref === undefined ? schema : this.#document.components.schemas[nameOf(schema.$ref)];
    return Object.entries(named?.properties ?? {}).flatMap(([name, each]) => {
      const path = above + name;
      const optional = named?.required?.includes(name) === true ? '' : 'optional. ';
      const fallback = each.default === undefined ? '' : ` Default: ${code(JSON.stringify(each.default))}.`;
      const meaning = each.description === undefined ? '' : sentence(each.description);
      const inner =
        each.properties !== undefined
          ? this.#fields(each, `${path}.`)
          : each.items?.properties !== undefined
            ? this.#fields(each.items, `${path}[].`)
            : [];
      return [[code(path), 'body', this.typeOf(each), `${optional}${meaning}${fallback}`.trim()], ...inner];
    });
  }

  typeOf(schema: Schema): string {
    if (schema.$ref !== undefined) {
      const name = nameOf(schema.$ref);
      return `[${name}](#${name.toLowerCase()})`;
    }
    if (schema.enum !== undefined) return schema.enum.map((each) => code(String(each))).join(', ');
    if (schema.const !== undefined) return code(JSON.stringify(schema.const));
    const either = schema.anyOf ?? schema.oneOf;
    if (either !== undefined) return [...new Set(either.map((each) => this.typeOf(each)))].join(' or ');
    if (schema.type === 'array') return `list of ${schema.items ? this.typeOf(schema.items) : 'anything'}`;
    const type = typeof schema.type === 'string' ? schema.type : (schema.type ?? ['anything']).join(' or ');
    return schema.format === 'date-time' ? 'time' : type;
  }
}

const nameOf = (reference: string): string => reference.replace('#/components/schemas/', '');
