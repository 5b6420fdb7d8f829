import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { askPrometheus } from '../../../src/guard/bake/prometheus.js';

let server: Server | undefined;
afterEach(() => void server?.close());

async function answering(answer: object): Promise<string> {
  server = createServer((_, response) => response.end(JSON.stringify(answer))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const vector = (...values: string[]) => ({
  resultType: 'vector',
  result: values.map((value) => ({ metric: {}, value: [1_764_165_600, value] })),
});

test('an answer with warnings is partial, and says why; infos are no warnings', async () => {
  const warnings = ['No StoreAPIs matched for this query'];
  const partial = await answering({ status: 'success', warnings, data: vector('0.01') });
  expect(await askPrometheus(partial, 'q', 5_000)).toEqual({
    ...{ answered: true, values: [0.01], partial: 'No StoreAPIs matched for this query' },
  });
  server?.close();
  const whole = await answering({
    status: 'success',
    infos: ['metric might not be a counter'],
    data: vector('1'),
  });
  expect(await askPrometheus(whole, 'q', 5_000)).toEqual({ answered: true, values: [1] });
});

test('values that are no number are left out, and infinities are values', async () => {
  const url = await answering({ status: 'success', data: vector('NaN', '+Inf', '-Inf', '2') });
  expect(await askPrometheus(url, 'q', 5_000)).toEqual({ answered: true, values: [Infinity, -Infinity, 2] });
});

test('an error is cut between two characters', async () => {
  const url = await answering({ status: 'error', error: `${'a'.repeat(498)}🚨🚨` });
  expect(await askPrometheus(url, 'q', 5_000)).toEqual({ answered: false, problem: `${'a'.repeat(498)}…` });
});
