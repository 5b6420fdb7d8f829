import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from '@jest/globals';
import { installedJobs, readProviders } from '../../../src/app/installed-jobs.js';
import { parseDomainName } from '../../../src/jobs/domain-claim/domain-name.js';
import { parseEmailAddress } from '../../../src/jobs/domain-claim/email-address.js';
import { needlessAllowed, overrideProviders } from '../../../src/jobs/domain-claim/providers.js';
import { versionOf } from '../../../src/worker/registry.js';

const folder = mkdtempSync(join(tmpdir(), 'providers-'));
const file = join(folder, 'providers.yaml');
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => overrideProviders({ allow: [], deny: [] }));

const reasonOf = (name: string): string => {
  const parsed = parseDomainName(name);
  return parsed.ok ? 'ok' : parsed.reason;
};

test('a refusal names the entry and its list', () => {
  expect(parseDomainName('hr.facebook.com')).toEqual({
    ...{ ok: false, reason: 'mail-provider', entry: 'facebook.com' },
    list: 'the package email-providers',
  });
  expect(parseDomainName('gmail.com')).toMatchObject({
    entry: 'gmail.com',
    list: 'the list of mail providers',
  });
  expect(parseDomainName('acme.github.io')).toMatchObject({
    entry: 'github.io',
    list: 'the list of hosting providers',
  });
});

test('a domain that an installation allows may be verified, with all under it, and its addresses claimed', () => {
  expect(parseEmailAddress('ada@facebook.com')).toMatchObject({ ok: false });
  overrideProviders({ allow: ['facebook.com'], deny: [] });
  expect([reasonOf('facebook.com'), reasonOf('hr.facebook.com')]).toEqual(['ok', 'ok']);
  expect(parseEmailAddress('ada@facebook.com')).toMatchObject({ ok: true, domain: 'facebook.com' });
  // No other is, and no name becomes a domain by it.
  expect(reasonOf('gmail.com')).toBe('mail-provider');
  overrideProviders({ allow: ['github.io', 'onion'], deny: [] });
  expect([reasonOf('github.io'), reasonOf('acme.onion')]).toEqual(['public-suffix', 'reserved']);
});

test('a domain that an installation denies may not, with all under it, but for what it allows there', () => {
  expect([reasonOf('acme.com'), reasonOf('it.acme.com')]).toEqual(['ok', 'ok']);
  overrideProviders({ allow: ['it.acme.com'], deny: ['acme.com'] });
  expect(parseDomainName('acme.com')).toEqual({
    ...{ ok: false, reason: 'denied', entry: 'acme.com', list: 'the providers file' },
  });
  expect([reasonOf('hr.acme.com'), reasonOf('it.acme.com'), reasonOf('notacme.com')]).toEqual([
    'denied',
    'ok',
    'ok',
  ]);
  overrideProviders({ allow: [], deny: [] });
  expect(reasonOf('acme.com')).toBe('ok');
});

test('allowed names that no list refuses are told', () => {
  overrideProviders({ allow: ['facebook.com', 'hr.go.com', 'acme.com'], deny: [] });
  expect(needlessAllowed()).toEqual(['acme.com']);
});

test('every fault of a providers file is named at once', () => {
  writeFileSync(file, 'allow: [facebook.com, Go.com, "not a domain!", bücher.de]\ndeny: nothing\n');
  const faults = (): unknown => {
    try {
      return readProviders(file);
    } catch (error) {
      return (error as { details: { faults: unknown } }).details.faults;
    }
  };
  expect(faults()).toEqual([
    `${file}: allow[2]: "Go.com" must be written as go.com`,
    `${file}: allow[3]: "not a domain!" is not a domain name`,
    `${file}: allow[4]: "bücher.de" must be written as xn--bcher-kva.de`,
    `${file}: deny: must be a list of domain names`,
  ]);
  writeFileSync(file, 'allow: [go.com]\ndeny: [go.com]\nforbid: []\n');
  expect(String(faults())).toContain('must have allow, deny or both');
  writeFileSync(file, 'allow: [go.com]\ndeny: [go.com]\n');
  expect(faults()).toEqual([`${file}: go.com is both allowed and denied`]);
  rmSync(file);
  expect(String(faults())).toContain('no such file');
});

test('a process with other overrides has another version of the job, whatever their order in the file', async () => {
  const versionWith = async (text?: string, buildId?: string): Promise<string> => {
    if (text !== undefined) writeFileSync(file, text);
    const [job] = await installedJobs({ buildId, providersFile: text === undefined ? undefined : file });
    if (job === undefined) throw new Error('there is no job');
    return versionOf(job);
  };
  const plain = await versionWith();
  const two = await versionWith('allow: [facebook.com, go.com]\n');
  expect(two).not.toBe(plain);
  expect(await versionWith('allow: [go.com, facebook.com]\n')).toBe(two);
  expect(await versionWith('deny: [facebook.com, go.com]\n')).not.toBe(two);
  expect(await versionWith('allow: []\n')).toBe(plain);
  expect(await versionWith('allow: [go.com]\n', 'a1b2c3')).toBe('1.0.0_a1b2c3');
});
