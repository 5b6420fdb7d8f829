import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { PromqlRule } from '../../src/flags/guard-policy.js';
import { judgePromql } from '../../src/guard/bake/judge-promql.js';
import { askPrometheus, current } from '../../src/guard/bake/prometheus.js';
import type { Verdict } from '../../src/containment/verdict.js';
import { freePort, startPrometheus, type RealServer } from '../support/prometheus.js';
import { until } from '../support/until.js';

/** What a real Prometheus scrapes: as the test says. */
let exposed = '';
/** What a store behind Thanos says of a query that not all of its stores have answered. */
const WARNING = 'No StoreAPIs matched for this query';

const servers: Server[] = [];
const prometheuses: RealServer[] = [];
let exporter: Server;
let target = '';
let first = '';
let second = '';
/** Answers as the first one does, with a warning beside. */
let thanos = '';

async function listening(server: Server): Promise<string> {
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeAll(async () => {
  exporter = createServer((_, response) => response.end(exposed));
  target = await listening(exporter);
  for (let at = 0; at < 2; at += 1) {
    const port = await freePort();
    prometheuses.push(
      await startPrometheus({ port, target, alertmanager: '127.0.0.1:1', rules: 'groups: []' }),
    );
  }
  [first = '', second = ''] = prometheuses.map(({ url }) => url);
  const partial = createServer((request, response) => {
    void (async () => {
      const body: Buffer[] = [];
      for await (const chunk of request) body.push(chunk as Buffer);
      const { method = 'GET' } = request;
      const headers = { 'content-type': request.headers['content-type'] ?? '' };
      const answer = await fetch(`${first}${request.url ?? ''}`, {
        method,
        headers,
        body: Buffer.concat(body),
      });
      const whole = (await answer.json()) as object;
      response.end(JSON.stringify({ ...whole, warnings: [WARNING] }));
    })().catch((error: unknown) => response.destroy(error as Error));
  });
  thanos = `http://${await listening(partial)}`;
}, 400_000);

afterAll(async () => {
  for (const each of prometheuses) await each.stop();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

const QUERY = 'errors / requests';
const rule: PromqlRule = { kind: 'promql', name: 'ratio', query: QUERY, above: 0.05, forMs: 0 };

async function judge(...urls: string[]): Promise<{ verdict: Verdict; reason: string }> {
  const now = new Date();
  const answers = await Promise.all(
    urls.map(async (url) => current(await askPrometheus(url, QUERY, 5_000), now)),
  );
  const { verdict, reason } = judgePromql(rule, answers, { since: null }, now).judged;
  return { verdict, reason };
}

/** Exposes the errors and requests of products, and waits until what all servers answer is judged so. */
async function comesTo(
  verdict: Verdict,
  products: Record<string, readonly [errors: number, requests: number]>,
) {
  exposed = Object.entries(products)
    .map(
      ([name, [errors, requests]]) =>
        `errors{product="${name}"} ${errors}\nrequests{product="${name}"} ${requests}\n`,
    )
    .join('');
  await until(
    `each server comes to ${verdict}`,
    async () => {
      const each = await Promise.all([judge(first), judge(second)]);
      return each.every((judged) => judged.verdict === verdict);
    },
    60_000,
  );
}

test('a real Prometheus passes where every series is right, and fails where one is wrong', async () => {
  await comesTo('pass', { mail: [1, 100], chat: [2, 100] });
  expect(await judge(first, second)).toEqual({ verdict: 'pass', reason: 'ratio: 0.02 is not above 0.05' });
  await comesTo('fail', { mail: [1, 100], chat: [9, 100] });
  expect(await judge(first)).toEqual({ verdict: 'fail', reason: 'ratio: 0.09 is above 0.05' });
}, 150_000);

test('0/0 is NaN: beside a good series it is no evidence, and a bad one fails all the same', async () => {
  await comesTo('no-data', { mail: [1, 100], chat: [0, 0] });
  const nan = /NaN: \{.*product="chat"\}$/;
  expect((await judge(first)).reason).toMatch(nan);
  expect(await judge(first)).toMatchObject({ verdict: 'no-data' });
  await comesTo('fail', { mail: [9, 100], chat: [0, 0] });
  expect((await judge(first)).reason).toMatch(nan);
}, 150_000);

test('a partial answer, as of Thanos, never passes, and fails what it shows wrong', async () => {
  await comesTo('pass', { mail: [1, 100] });
  expect(await judge(thanos)).toEqual({
    verdict: 'unreachable',
    reason: `ratio: the answer is partial: ${WARNING}`,
  });
  // A whole one beside it will do.
  expect(await judge(thanos, second)).toMatchObject({ verdict: 'pass' });
  await comesTo('fail', { mail: [9, 100] });
  expect(await judge(thanos)).toMatchObject({ verdict: 'fail' });
}, 150_000);

test('a target that is gone is stale at once: no data, no pass of what it said last', async () => {
  await comesTo('pass', { mail: [1, 100] });
  exporter.closeAllConnections();
  await new Promise((done) => exporter.close(done));
  await until('no data', async () => (await judge(first)).verdict === 'no-data', 60_000);
  expect(await judge(first)).toEqual({ verdict: 'no-data', reason: 'ratio: the query finds nothing' });
  exporter = createServer((_, response) => response.end(exposed));
  servers.push(exporter.listen(Number(target.split(':')[1]), '127.0.0.1'));
  await comesTo('pass', { mail: [1, 100] });
}, 150_000);

test('of several servers one that answers will do; where they find different things, the worse counts', async () => {
  await comesTo('pass', { mail: [1, 100] });
  await prometheuses[1]?.stop();
  expect((await judge(second)).verdict).toBe('unreachable');
  expect(await judge(first, second)).toMatchObject({ verdict: 'pass' });
  // Another one, which has scraped nothing of it.
  const port = await freePort();
  const empty = await startPrometheus({
    ...{ port, target: '127.0.0.1:1', alertmanager: '127.0.0.1:1', rules: 'groups: []' },
  });
  prometheuses.push(empty);
  expect(await judge(first, empty.url)).toEqual({
    ...{ verdict: 'no-data', reason: 'ratio: on one server the query finds nothing' },
  });
}, 150_000);
