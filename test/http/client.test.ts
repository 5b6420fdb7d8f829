import { describe, expect, test } from '@jest/globals';
import { createClient } from '../../src/client/client.js';
import { domainClaim } from '../../src/jobs/domain-claim/job.js';
import { readTables, shapeOf } from '../../src/journal/shape.js';
import { OPERATIONS, operationList, type OperationName } from '../../src/operations/list.js';
import { ROUTES } from '../../src/server/app.js';
import type { LoadedJob } from '../../src/worker/registry.js';
import { testDatabase } from '../support/database.js';
import { trustedWorkflows } from '../support/identity-provider.js';
import { worldOf } from './every-operation.js';
import { hearFlags, serving } from './serving.js';

const { owner } = await testDatabase();
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
const client = createClient({ url: `${served.url}/`, token: served.token });
/** The same, for names that only the list knows. */
const call = (name: OperationName, input: object): Promise<unknown> => client.call(name, input);

async function linesOf(lines: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

describe('the client', () => {
  test('calls every operation of the list, and is answered what its schema says', async () => {
    const inputFor = await worldOf(owner, served.token, workflowToken);
    for (const { operationId, path, method, operation } of ROUTES) {
      const { params, query, body } = await inputFor(path.replaceAll(/:(\w+)/g, '{$1}'));
      const named = Object.keys(operation.params.shape).map((name) => [name, params[name]]);
      const input = {
        ...(method === 'post' && operation.body && (body as object)),
        ...(operation.kind === 'upload' && { archive: new Blob([body as Buffer]) }),
        ...Object.fromEntries(new URLSearchParams(query)),
        ...(Object.fromEntries(named) as object),
      };
      const answer = await call(operationId as OperationName, input);
      const answers =
        operation.kind === 'stream' || operation.kind === 'download'
          ? await linesOf(answer as AsyncIterable<unknown>)
          : [answer];
      // No row of that world was changed since: restores.test.ts lists conflicts.
      if (operationId !== 'exportConflicts')
        expect([operationId, answers.length]).not.toEqual([operationId, 0]);
      for (const each of answers) {
        const checked = operation.reply.schema.safeParse(each);
        expect([operationId, checked.error?.issues ?? []]).toEqual([operationId, []]);
      }
    }
  });

  test('types what it is answered, and sends what an operation takes in its query', async () => {
    const me = await client.call('getMe');
    expect(me.role).toBe('admin');
    expect(me.may.find(({ action }) => action === 'kill')).toEqual({ action: 'kill', regions: null });
    const { items } = await client.call('listFlags', { region: 'us-east-1', limit: 5 });
    expect(items.map(({ region }) => region)).toEqual(['us-east-1']);
  });

  test('throws what the server answers, with code, hint and details', async () => {
    const refused = client.call('getPolicy', { job: 'domain-clam' });
    await expect(refused).rejects.toMatchObject({
      code: 'POLICY_MISSING',
      hint: 'did you mean domain-claim?',
      details: { nearest: 'domain-claim' },
    });
    const viewer = createClient({ url: served.url, token: 'pcl_no' });
    await expect(viewer.call('getMe')).rejects.toMatchObject({ code: 'TOKEN_REFUSED' });
  });

  test('says that nothing answers, or that what answers is not Portcullis', async () => {
    const nowhere = createClient({ url: 'http://127.0.0.1:1' });
    await expect(nowhere.call('getHealth')).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
    const other = createClient({
      url: served.url,
      fetch: () => Promise.resolve(new Response('<html>', { status: 502 })),
    });
    await expect(other.call('getHealth')).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' });
  });
});

describe('the list', () => {
  test('has an example for every operation that the operation takes', () => {
    for (const [name, { example, params, query, body }] of operationList) {
      const parts = [params, query, ...(body ? [body] : [])];
      const known = new Set(parts.flatMap(({ shape }) => Object.keys(shape)));
      expect([name, Object.keys(example as object).filter((key) => !known.has(key))]).toEqual([name, []]);
      for (const part of parts) {
        const given = Object.entries(example as object).filter(([key]) => key in part.shape);
        const { error } = part.safeParse(Object.fromEntries(given));
        expect([name, error?.issues ?? []]).toEqual([name, []]);
      }
    }
  });

  test('has each name once', () => {
    expect(operationList.map(([name]) => name)).toEqual(Object.keys(OPERATIONS));
    expect(new Set(operationList.map(([, { at }]) => at)).size).toBe(operationList.length);
  });
});
