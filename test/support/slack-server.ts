import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll } from '@jest/globals';

export const SLACK_TOKEN = 'xoxb-test-token';

/** What a call of the Web API asked for. */
export interface Asked {
  readonly method: string;
  readonly body: {
    readonly channel?: string;
    readonly ts?: string;
    readonly user?: string;
    readonly text?: string;
    readonly trigger_id?: string;
    readonly view?: { readonly private_metadata: string };
    readonly blocks?: readonly {
      readonly type: string;
      readonly text?: { readonly text: string };
      readonly elements?: readonly Button[];
    }[];
  };
}
interface Button {
  readonly action_id: string;
  readonly value: string;
  readonly text: { readonly text: string };
}

export interface SlackServer {
  /** The Web API's address. */
  readonly api: string;
  /** What it was asked and took. */
  readonly asked: Asked[];
  /** The methods that it refused. */
  readonly refused: string[];
  /** What `chat.update` is refused with from now on. */
  readonly refuse: (error: string | undefined) => void;
}

/**
 * No real Slack: a server on loopback that keeps what its Web API is asked, and holds it to what Slack documents: lengths,
 * the token, a message's channel and ts, which `chat.update` must name, and what it is told to refuse.
 */
export async function startSlackServer(): Promise<SlackServer> {
  const asked: Asked[] = [];
  const refused: string[] = [];
  let refusal: string | undefined;
  /** Messages that are there, by channel and ts: one of them from before the tests. */
  const posted = new Set(['C0123ABCD 1503435956.000247']);
  const slack = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (more: string) => (text += more));
    request.on('end', () => {
      const body = JSON.parse(text) as Asked['body'];
      const tooLong = (body.blocks ?? []).some(
        ({ type, text: shown }) => (shown?.text.length ?? 0) > (type === 'header' ? 150 : 3_000),
      );
      const known = request.headers.authorization === `Bearer ${SLACK_TOKEN}`;
      const method = (request.url ?? '').replace('/api/', '');
      if (refusal === 'ratelimited' && method === 'chat.update') {
        refused.push(method);
        response
          .writeHead(429, { 'retry-after': '30' })
          .end(JSON.stringify({ ok: false, error: 'ratelimited' }));
        return;
      }
      const error = !known
        ? { error: 'invalid_auth' }
        : refusal !== undefined && method === 'chat.update'
          ? {
              error: refusal,
              ...(refusal === 'missing_scope' && { needed: 'chat:write', provided: 'commands' }),
            }
          : tooLong
            ? { error: 'invalid_blocks' }
            : method === 'chat.update' && !posted.has(`${body.channel ?? ''} ${body.ts ?? ''}`)
              ? { error: 'message_not_found' }
              : undefined;
      if (error !== undefined) {
        refused.push(method);
        response.end(JSON.stringify({ ok: false, ...error }));
        return;
      }
      asked.push({ method, body });
      if (method === 'auth.test') {
        response.end(JSON.stringify({ ok: true, team_id: 'T0123ABCD', user_id: 'U0BOT', bot_id: 'B0BOT' }));
        return;
      }
      if (method !== 'chat.postMessage') {
        response.end(JSON.stringify({ ok: true, channel: body.channel, ts: body.ts }));
        return;
      }
      const ts = `1503435957.${String(posted.size).padStart(6, '0')}`;
      posted.add(`${body.channel ?? ''} ${ts}`);
      response.end(JSON.stringify({ ok: true, channel: body.channel, ts, message: {} }));
    });
  });
  slack.listen(0, '127.0.0.1');
  await once(slack, 'listening');
  afterAll(async () => {
    slack.closeAllConnections();
    slack.close();
    await once(slack, 'close');
  });
  return {
    api: `http://127.0.0.1:${(slack.address() as AddressInfo).port}/api/`,
    ...{ asked, refused, refuse: (error) => (refusal = error) },
  };
}
