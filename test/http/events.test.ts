import { afterEach, describe, expect, test } from '@jest/globals';
import { EventFeed } from '../../src/events/follow.js';
import { outboxesOf } from '../../src/regions/outboxes.js';
import { testDatabase } from '../support/database.js';
import { until } from '../support/until.js';
import { databasesAt, serving } from './serving.js';

const { owner } = await testDatabase();
const live = (): EventFeed => new EventFeed(() => outboxesOf(owner, databasesAt(owner)));
const served = await serving(owner, { feed: live() });

const cuts: AbortController[] = [];
afterEach(() => {
  for (const cut of cuts.splice(0)) cut.abort();
});

interface Followed {
  readonly response: Response;
  /** What was sent so far. */
  readonly text: () => string;
  readonly ended: Promise<void>;
  cut(): void;
}

/** Follows events as a browser does. */
async function follow(query: string, headers: Record<string, string> = {}): Promise<Followed> {
  const cut = new AbortController();
  cuts.push(cut);
  const response = await served.call(`/api/v1/events/stream${query}`, { headers, signal: cut.signal });
  let text = '';
  const ended = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? [])
      text += decoder.decode(chunk as Uint8Array, { stream: true });
  })().catch(() => undefined);
  return { response, text: () => text, ended, cut: () => cut.abort() };
}

const setFlag = (job: string): Promise<unknown> =>
  owner.query(
    `insert into portcullis_control.flag (job, region, enabled, variants, reason, changed_by)
     values ($1, 'eu-west-1', true, '[]', 'test', 'ann')`,
    [job],
  );

const lastId = (text: string): string => [...text.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? '';

describe('events over HTTP', () => {
  test('are a list that goes on where its cursor says', async () => {
    const first = await served.json('/api/v1/events?job=listed');
    expect(first).toMatchObject({ status: 200, body: { items: [], unreachable: [], lost: [] } });
    await setFlag('listed');
    const { body } = await served.json(`/api/v1/events?job=listed&cursor=${String(first.body['next'])}`);
    expect(body['items']).toMatchObject([
      { kind: 'flag', job: 'listed', region: 'eu-west-1', data: { enabled: true, changedBy: 'ann' } },
    ]);
    expect(await served.json('/api/v1/events?cursor=bm8')).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID' },
    });
  });

  test('stream as they come, and go on behind Last-Event-ID, which wins over the address', async () => {
    const one = await follow('?job=streamed-1');
    expect(one.response.headers.get('content-type')).toMatch('text/event-stream');
    expect(one.response.headers.get('x-accel-buffering')).toBe('no');
    await until('the stream says where it is', () => lastId(one.text()) !== '');
    const begun = lastId(one.text());
    await setFlag('streamed-1');
    await until('the change is sent', () => one.text().includes('event: change'));
    expect(one.text()).toContain('"job":"streamed-1"');
    one.cut();
    await one.ended;
    await setFlag('streamed-2');
    const other = await follow('?job=streamed-2&cursor=bm8', { 'last-event-id': begun });
    await until('what came meanwhile is sent', () => other.text().includes('"job":"streamed-2"'));
  });

  test('need a token', async () => {
    const headers = { authorization: 'Bearer pcl_no' };
    expect((await served.call('/api/v1/events/stream', { headers })).status).toBe(401);
  });

  test('end when the server stops, and are refused beyond 100 followers', async () => {
    const feed = live();
    Object.defineProperty(feed, 'followers', { value: 100 });
    const full = await serving(owner, { feed });
    expect(await full.json('/api/v1/events/stream')).toMatchObject({
      status: 503,
      body: { code: 'STREAMS_FULL' },
    });
    const own = await serving(owner, { feed: live() });
    const response = await own.call('/api/v1/events/stream');
    const ended = response.text();
    await own.close();
    expect(await ended).toContain('retry: 1000');
  });
});
