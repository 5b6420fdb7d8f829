import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PortcullisError } from '../../../src/kernel/errors.js';
import { createLogger, type LogOptions } from '../../../src/telemetry/log.js';
import { redact } from '../../../src/telemetry/log.js';

function logging(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const log = createLogger({ level: 'debug', ...options, to: { write: (line) => void lines.push(line) } });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> };
}

describe('the log', () => {
  test('writes one JSON object a line, with level, UTC time, message, code and context', () => {
    const { log, lines, last } = logging();
    log.child({ runId: 'r1', job: 'domain-claim', region: 'eu-west-1' }).info({ code: 'cap-run' }, 'refused');
    expect(lines).toHaveLength(1);
    expect(lines[0]?.endsWith('\n')).toBe(true);
    expect(last()).toMatchObject({
      level: 'info',
      message: 'refused',
      code: 'cap-run',
      runId: 'r1',
      job: 'domain-claim',
      region: 'eu-west-1',
    });
    expect(last()['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test('keeps quiet below its level', () => {
    const { log, lines } = logging({ level: 'warn' });
    log.debug({}, 'a');
    log.info({}, 'b');
    log.warn({}, 'c');
    expect(lines).toHaveLength(1);
  });

  test('tells an error with its code, hint and cause', () => {
    const { log, last } = logging();
    const err = new PortcullisError('RUN_UNKNOWN', 'no run', { hint: 'list runs', cause: new Error('why') });
    log.error({ err }, 'failed');
    expect(last()['err']).toMatchObject({ code: 'RUN_UNKNOWN', hint: 'list runs' });
    expect(JSON.stringify(last())).toContain('why');
  });

  test.each([
    ['a field named token', { token: 'hunter2hunter2' }],
    ['a nested password', { deep: { er: { databasePassword: 'hunter2hunter2' } } }],
    ['an authorization header', { headers: { authorization: 'Bearer hunter2hunter2' } }],
    ['an error that quotes a URL', { err: new Error('connect postgres://me:hunter2hunter2@db:5432/x') }],
    ['a password with an @', { url: 'postgres://me:p@hunter2hunter2@db/x' }],
    ['a password with a quote', { url: 'postgres://me:p"hunter2hunter2@db/x' }],
    ['a header in a text', { note: 'sent Authorization: Bearer hunter2hunter2' }],
    ['a token of ours in a text', { note: 'pcl_hunter2hunter2hunter2hunter2' }],
  ])('takes out %s', (_, facts) => {
    const { log, lines, last } = logging();
    log.info(facts, 'x');
    expect(lines.join('')).not.toContain('hunter2');
    expect(last()['message']).toBe('x');
  });

  test('leaves lines without secrets as they are', () => {
    const { log, last } = logging();
    log.info({ url: 'https://example.com:443/a?b=c', tokens: 3, count: 7 }, 'a@b.example: fine');
    expect(last()).toMatchObject({ url: 'https://example.com:443/a?b=c', tokens: 3, count: 7 });
    expect(last()['message']).toBe('a@b.example: fine');
  });

  test('a redacted line is still the JSON of one object, whatever it says', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.webUrl({ withQueryParameters: true }))),
        (facts) => {
          expect(() => JSON.parse(redact(JSON.stringify(facts))) as unknown).not.toThrow();
        },
      ),
    );
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }), (before, after) => {
        const line = JSON.stringify({ password: before, note: `x://u:${before}@h ${after}`, after });
        expect(() => JSON.parse(redact(line)) as unknown).not.toThrow();
      }),
    );
  });

  test('prints for a person when asked to', () => {
    const { log, lines } = logging({ pretty: true });
    log.warn({ code: 'flag-stale', job: 'domain-claim', err: new Error('no answer') }, 'held');
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3}Z WARN  held code=flag-stale job=domain-claim error="no answer"\n$/,
    );
  });
});
