import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { askPrometheus, current } from '../../../src/guard/bake/prometheus.js';

const AT = 1_764_165_600_000;

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
    ...{ answered: true, values: [0.01], at: AT, partial: 'No StoreAPIs matched for this query' },
  });
  server?.close();
  const whole = await answering({
    status: 'success',
    infos: ['metric might not be a counter'],
    data: vector('1'),
  });
  expect(await askPrometheus(whole, 'q', 5_000)).toEqual({ answered: true, values: [1], at: AT });
});

test('a series that is no number is named, and infinities are values', async () => {
  const result = [
    { metric: { __name__: 'errors', instance: 'a "b"' }, value: [1_764_165_600, 'NaN'] },
    ...vector('+Inf', '-Inf', '2').result,
  ];
  const url = await answering({ status: 'success', data: { resultType: 'vector', result } });
  expect(await askPrometheus(url, 'q', 5_000)).toEqual({
    ...{ answered: true, values: [Infinity, -Infinity, 2], at: AT },
    nan: ['errors{instance="a \\"b\\""}'],
  });
});

test('an answer of another time is none; one that found nothing has no time', () => {
  const answer = { answered: true, values: [1], at: AT } as const;
  expect(current(answer, new Date(AT + 300_000))).toBe(answer);
  expect(current(answer, new Date(AT + 300_001))).toEqual({
    answered: false,
    problem: 'its answer is as of 2025-11-26T14:00:00.000Z, and now it is 2025-11-26T14:05:00.001Z',
  });
  expect(current(answer, new Date(AT - 300_001))).toMatchObject({ answered: false });
  const none = { answered: true, values: [] } as const;
  expect(current(none, new Date())).toBe(none);
});

test('an error is cut between two characters', async () => {
  const url = await answering({ status: 'error', error: `${'a'.repeat(498)}🚨🚨` });
  expect(await askPrometheus(url, 'q', 5_000)).toEqual({ answered: false, problem: `${'a'.repeat(498)}…` });
});
