import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createDns } from '../../src/lookup/dns-client.js';
import type { Dns } from '../../src/lookup/dns.js';
import { startNameServer, type NameServer } from '../support/name-server.js';

const TOKEN = `token=${'0123456789abcdef'.repeat(2)}`;
const long = 'x'.repeat(250);
const zones = {
  'example.test': `
_portcullis-challenge 30 IN TXT "${TOKEN}"
split IN TXT "${TOKEN.slice(0, 10)}" "${TOKEN.slice(10)}"
quoted IN TXT "\\"${TOKEN}\\""
octets IN TXT "t\\255\\233"
${Array.from({ length: 30 }, (_, index) => `many IN TXT "${index}-${long}"`).join('\n')}
many IN TXT "${TOKEN}"
below.empty IN TXT "x"
mailonly IN MX 10 ns
alias IN CNAME _portcullis-challenge
away 20 IN CNAME _portcullis-challenge.hosting.test.
gone IN CNAME nowhere.hosting.test.
out IN CNAME a.unknown.test.
self IN CNAME self
loop IN CNAME loop.hosting.test.
*.wild IN TXT "wild"
`,
  'hosting.test': `
_portcullis-challenge IN TXT "${TOKEN}"
loop IN CNAME loop.example.test.
`,
};

let server: NameServer;
let dns: Dns;
beforeAll(async () => {
  server = await startNameServer(zones, 25);
  dns = createDns({
    resolvers: [`${server.address}:${server.port}`],
    timeoutMs: 2_000,
    tries: 2,
    maxConcurrent: 8,
  });
}, 400_000);
afterAll(() => server.close());

const answerAt = async (name: string) => (await dns.txt(name))[0]?.answer;
const proven = { kind: 'records', values: [TOKEN] };

describe('against Knot DNS', () => {
  test('a record is found, with its TTL, whatever the case it is asked in', async () => {
    expect(await answerAt('_portcullis-challenge.example.test')).toEqual({ ...proven, ttlSeconds: 30 });
    expect(await answerAt('_PORTCULLIS-challenge.Example.Test.')).toEqual({ ...proven, ttlSeconds: 30 });
  });

  test('NXDOMAIN and no data are told apart, with the negative TTL', async () => {
    const absent = { kind: 'absent', negativeTtlSeconds: 25 };
    expect(await answerAt('nowhere.example.test')).toEqual({ ...absent, code: 'NXDOMAIN' });
    expect(await answerAt('mailonly.example.test')).toEqual({ ...absent, code: 'NODATA' });
    expect(await answerAt('empty.example.test')).toEqual({ ...absent, code: 'NODATA' });
  });

  test('split strings are joined; quotes and octets are kept', async () => {
    expect(await answerAt('split.example.test')).toMatchObject(proven);
    expect(await answerAt('quoted.example.test')).toMatchObject({ values: [`"${TOKEN}"`] });
    expect(await answerAt('octets.example.test')).toMatchObject({ values: ['t\u00ff\u00e9'] });
  });

  test('an answer too long for UDP comes over TCP, the token among many records', async () => {
    const answer = await answerAt('many.example.test');
    if (answer?.kind !== 'records') throw new Error('no records');
    expect(answer.values).toHaveLength(31);
    expect(answer.values).toContain(TOKEN);
  });

  test('a wildcard’s record counts for the name asked', async () => {
    expect(await answerAt('any.wild.example.test')).toMatchObject({ values: ['wild'] });
  });

  test('aliases are followed in the zone and into another; a dangling one is absence', async () => {
    expect(await answerAt('alias.example.test')).toMatchObject(proven);
    expect(await answerAt('away.example.test')).toEqual({ ...proven, ttlSeconds: 20 });
    expect(await answerAt('gone.example.test')).toMatchObject({ kind: 'absent', code: 'NXDOMAIN' });
  });

  test('alias loops are seen as such', async () => {
    const loop = { kind: 'indeterminate', code: 'CNAME_LOOP' };
    expect(await answerAt('self.example.test')).toEqual(loop);
    expect(await answerAt('loop.example.test')).toEqual(loop);
  });

  test('what the server is not authoritative for is REFUSED', async () => {
    const refused = { kind: 'indeterminate', code: 'REFUSED' };
    expect(await answerAt('example.invalid')).toEqual(refused);
    expect(await answerAt('out.example.test')).toEqual(refused);
  });

  test('a record taken away is absent, and found again once it is back', async () => {
    await server.reload({ 'example.test': '' });
    expect(await answerAt('_portcullis-challenge.example.test')).toMatchObject({ code: 'NXDOMAIN' });
    await server.reload(zones);
    expect(await answerAt('_portcullis-challenge.example.test')).toMatchObject(proven);
  });

  test('a server that has ended is unreachable', async () => {
    await server.close();
    expect(await answerAt('_portcullis-challenge.example.test')).toEqual({
      kind: 'indeterminate',
      code: 'UNREACHABLE',
    });
  });
});
