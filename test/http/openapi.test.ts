import { describe, expect, test } from '@jest/globals';
import { Validator } from '@seriousme/openapi-schema-validator';
import { z } from 'zod';
import { ROUTES } from '../../src/server/app.js';
import { domainClaim } from '../../src/jobs/domain-claim/job.js';
import type { LoadedJob } from '../../src/worker/registry.js';
import { readTables, shapeOf } from '../../src/journal/shape.js';
import { testDatabase } from '../support/database.js';
import { trustedWorkflows } from '../support/identity-provider.js';
import { worldOf } from './every-operation.js';
import { hearFlags, post, serving } from './serving.js';

const database = await testDatabase();
const { owner } = database;
const { account } = domainClaim.resources;
const shape = shapeOf('account', account, await readTables(owner, [account]));
const job: LoadedJob = {
  definition: domainClaim,
  version: '1.0.0_a',
  shapes: new Map([['account', shape]]),
  kinds: new Map([['claim', shape]]),
};
const { workflows, workflowToken } = await trustedWorkflows(owner);
const served = await serving(owner, {
  workflows,
  installed: () => [job],
  flags: (await hearFlags(owner)).desk,
  jobs: () => [
    { name: 'domain-claim', version: '1.0.0_a', schedule: null, regions: ['eu-west-1'], kinds: ['claim'] },
  ],
});

/** What OpenAPI 3.1 demands of the parts that we use. */
const Media = z.record(z.string(), z.strictObject({ schema: z.looseObject({}) }));
const Operation = z.strictObject({
  operationId: z.string().regex(/^\w+$/),
  summary: z.string().min(1),
  description: z.string().optional(),
  security: z.array(z.record(z.string(), z.array(z.string()))),
  parameters: z.array(
    z.union([
      z.strictObject({
        name: z.string(),
        in: z.enum(['path', 'query']),
        required: z.boolean(),
        description: z.string().optional(),
        schema: z.looseObject({}),
      }),
      z.strictObject({ $ref: z.literal('#/components/parameters/IdempotencyKey') }),
    ]),
  ),
  requestBody: z.strictObject({ required: z.boolean(), content: Media }).optional(),
  responses: z.record(
    z.string().regex(/^[1-5]\d\d$/),
    z.strictObject({
      description: z.string().min(1),
      headers: z
        .strictObject({
          'Idempotent-Replayed': z.strictObject({
            $ref: z.literal('#/components/headers/IdempotentReplayed'),
          }),
        })
        .optional(),
      content: Media,
    }),
  ),
});
const Document = z.strictObject({
  openapi: z.literal('3.1.0'),
  info: z.looseObject({ title: z.string(), version: z.string() }),
  servers: z.array(z.strictObject({ url: z.string() })),
  security: z.array(z.unknown()),
  paths: z.record(
    z.string().startsWith('/'),
    z.strictObject({ get: Operation.optional(), post: Operation.optional() }),
  ),
  components: z.strictObject({
    parameters: z.record(z.literal('IdempotencyKey'), z.looseObject({ in: z.literal('header') })),
    headers: z.record(z.literal('IdempotentReplayed'), z.looseObject({ description: z.string() })),
    securitySchemes: z.record(z.string(), z.looseObject({ type: z.literal('http'), scheme: z.string() })),
    schemas: z.record(z.string().regex(/^[\w.-]+$/), z.looseObject({})),
  }),
});
type JsonSchema = Exclude<Parameters<typeof z.fromJSONSchema>[0], boolean>;
type Operation = z.infer<typeof Operation>;

const { body: raw } = await served.json('/api/v1/openapi.json');
const document = Document.parse(raw);
const operations = Object.entries(document.paths).flatMap(([path, { get, post }]) => [
  ...(get ? [{ method: 'get', path, operation: get }] : []),
  ...(post ? [{ method: 'post', path, operation: post }] : []),
]);

/** Every `$ref` below a value. */
function refsIn(value: unknown): string[] {
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, below]) =>
    key === '$ref' && typeof below === 'string' ? [below] : refsIn(below),
  );
}

/** A schema of the document as a validator, with its references resolved. */
function validatorOf(schema: Record<string, unknown>): z.ZodType {
  const $defs = JSON.parse(
    JSON.stringify(document.components.schemas).replaceAll('#/components/schemas/', '#/$defs/'),
  ) as NonNullable<JsonSchema['$defs']>;
  const local = JSON.parse(JSON.stringify(schema).replaceAll('#/components/schemas/', '#/$defs/')) as Record<
    string,
    unknown
  >;
  return z.fromJSONSchema({ ...local, $defs });
}

describe('the OpenAPI document', () => {
  test('is one, as the official JSON schema of OpenAPI 3.1 has it', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(raw));
    expect([valid, errors ?? []]).toEqual([true, []]);
    expect(validator.version).toBe('3.1');
    // And the validator tells: a method that there is not, and a reference that leads nowhere.
    for (const wrong of [
      { ...raw, paths: { '/a': { fetch: {} } } },
      { ...raw, paths: { '/a': { get: { responses: { 200: { $ref: 1 } } } } } },
    ])
      expect((await new Validator().validate(wrong)).valid).toBe(false);
  });

  test('has each route of the table, and no other', () => {
    const table = ROUTES.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`);
    expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(table.sort());
  });

  test('names each operation once', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('declares exactly the parameters that stand in a path, each as required', () => {
    for (const { path, operation } of operations) {
      const declared = operation.parameters.flatMap((each) =>
        'in' in each && each.in === 'path' ? [each] : [],
      );
      expect(declared.every(({ required }) => required)).toBe(true);
      expect(declared.map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    }
  });

  test('refers only to schemas that it has, and has none in vain', () => {
    const schemas = refsIn(document).filter((ref) => ref.startsWith('#/components/schemas/'));
    const refs = new Set(schemas.map((ref) => ref.replace('#/components/schemas/', '')));
    expect([...refs].sort()).toEqual(Object.keys(document.components.schemas).sort());
  });

  test('has the idempotency key for every act that takes a token, but for those that stop something', () => {
    const keyed = operations.filter(({ operation }) => operation.parameters.some((each) => '$ref' in each));
    const acts = ROUTES.filter(({ operation }) => ['act', 'upload'].includes(operation.kind));
    const none = ['login', 'exchangeToken', 'killJob', 'stopEverything', 'receiveAlerts'];
    expect(keyed.map(({ operation }) => operation.operationId).sort()).toEqual(
      acts
        .map(({ operationId }) => operationId)
        .filter((id) => !none.includes(id))
        .sort(),
    );
  });

  test('asks for a token under /api and nowhere else', () => {
    for (const { path, operation } of operations) {
      expect([path, operation.security]).toEqual([path, path.startsWith('/api/') ? [{ bearer: [] }] : []]);
      expect([path, '401' in operation.responses]).toEqual([path, path.startsWith('/api/')]);
    }
  });
});

describe('every operation in it', () => {
  test('answers as it says, and its errors too', async () => {
    const inputFor = await worldOf(owner, served.token, workflowToken);
    for (const { method, path, operation } of operations) {
      const { params, query, body } = await inputFor(path);
      const place = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => params[name] ?? '');
      const asked = query === '' ? place : `${place}?${query}`;
      const init = method === 'post' ? post(body) : {};
      const yes = Object.keys(operation.responses).find((status) => status.startsWith('2'));
      await expectAsDocumented(operation, await served.call(asked, init), Number(yes));
      await expectAsDocumented(
        operation,
        await served.call(`${asked}${query === '' ? '?' : '&'}surely-not=1`, init),
        400,
      );
      if (operation.responses['401']) {
        await expectAsDocumented(operation, await fetch(served.url + asked, init), 401);
      }
      // Where only the body names it, what is missing has a test of its own.
      if (operation.responses['404'] && path.includes('{')) {
        const missing = `${path.replaceAll(/\{(\w+)\}/g, '0123456789')}${query === '' ? '' : `?${query}`}`;
        await expectAsDocumented(operation, await served.call(missing, init), 404);
      }
    }
  });

  test('for which it is not ready, says so in the documented shape', async () => {
    const unready = await serving(owner, { readiness: () => Promise.resolve(['flags are stale']) });
    const operation = document.paths['/readyz']?.get;
    expect(operation).toBeDefined();
    if (operation) await expectAsDocumented(operation, await fetch(`${unready.url}/readyz`), 503);
  });
});

async function expectAsDocumented(operation: Operation, response: Response, status: number): Promise<void> {
  expect([operation.operationId, response.status]).toEqual([operation.operationId, status]);
  const type = response.headers.get('content-type')?.split(';')[0] ?? '';
  const media = operation.responses[String(status)]?.content[type];
  expect([operation.operationId, status, type, media !== undefined]).toEqual([
    operation.operationId,
    status,
    type,
    true,
  ]);
  const validator = validatorOf(media?.schema ?? {});
  if (type === 'application/jsonl') {
    const lines = (await response.text()).split('\n');
    expect(lines.pop()).toBe('');
    for (const line of lines) expect(validator.parse(JSON.parse(line))).toBeDefined();
    return;
  }
  const body: unknown = type.endsWith('json') ? await response.json() : await response.text();
  expect(validator.parse(body)).toBeDefined();
}
