import { domainToUnicode } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type pg from 'pg';
import { parseDomainName } from '../../../src/jobs/domain-claim/domain-name.js';
import { migrate } from '../../../src/postgres/migrate.js';
import { emptyDatabase, SCHEMAS } from '../../support/database.js';
import { account, database, domain, gist, organisation, plan, verified } from './world.js';

/** Host names are compared the same way in every database, whatever its locale folds. */

const UNICODE = `template template0 locale_provider builtin builtin_locale 'C.UTF-8'`;
const unicode = await emptyDatabase(UNICODE);
await migrate(unicode.owner, SCHEMAS);

async function hostNames(pool: pg.Pool, names: readonly string[]): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select directory.host_name(name) as name from unnest($1::text[]) with ordinality as n (name, at) order by at`,
    [names],
  );
  return rows.map(({ name }) => name);
}

describe.each([
  ['of the locale C', database.owner],
  ['whose lower() knows Unicode', unicode.owner],
])('in a database %s', (_, pool) => {
  test.each([
    ['EXAMPLE.com', 'example.com'],
    ['bücher.de', 'xn--bcher-kva.de'],
    ['BÜCHER.de', 'xn--bcher-kva.de'],
    ['bu\u0308cher.de', 'xn--bcher-kva.de'],
    ['ПРИМЕР.рф', 'xn--e1afmkfd.xn--p1ai'],
    ['例え.テスト', 'xn--r8jz45g.xn--zckzah'],
    // RFC 3492, section 7.1, (L): digits before the first letter that is not ASCII.
    ['3年b組金八先生.jp', 'xn--3b-ww4c5e180e575a65lsy2b.jp'],
    ['\u212Aelvin-example.org', '\u212Aelvin-example.org'],
    ['ＥＸＡＭＰＬＥ.com', 'ＥＸＡＭＰＬＥ.com'],
  ])('%s is %s', async (name, canonical) => {
    expect(await hostNames(pool, [name])).toEqual([canonical]);
  });

  test('a name that the job reads is what the job reads it as', async () => {
    const letters = fc.constantFrom(...Array.from('abcXYZ019-äÖßñŁşİıёЖЯλΣς中文字あいعربहिन्दी한국'));
    const label = fc.array(letters, { minLength: 1, maxLength: 12 }).map((each) => each.join(''));
    const names = fc
      .sample(
        fc.tuple(label, fc.constantFrom('com', 'de', 'рф', '中国')).map((parts) => parts.join('.')),
        { numRuns: 3_000, seed: 20_261_126 },
      )
      .flatMap((name) => {
        const parsed = parseDomainName(name);
        return parsed.ok
          ? [[name, parsed.name] as const, [domainToUnicode(parsed.name), parsed.name] as const]
          : [];
      });
    expect(names.length).toBeGreaterThan(1_000);
    const answered = await hostNames(
      pool,
      names.map(([name]) => name),
    );
    const others = names.flatMap(([name, canonical], n) =>
      answered[n] === canonical ? [] : [`${name}: ${answered[n] ?? ''}, not ${canonical}`],
    );
    expect(others).toEqual([]);
  });
});

test('accounts at every spelling of a verified name are claimed, and no look-alike is', async () => {
  await organisation('acme');
  await domain('d1', 'acme', { ...verified(), name: 'xn--bcher-kva.de' });
  await account('puny', { email: 'a@xn--bcher-kva.de' });
  await account('unicode', { email: 'b@bücher.de' });
  await account('upper', { email: 'c@BÜCHER.de' });
  await account('decomposed', { email: 'd@bu\u0308cher.de' });
  await account('other', { email: 'e@bucher.de' });
  await account('kelvin', { email: 'f@boo\u212A.de' });
  expect(gist(await plan(['acme']))).toEqual([
    'claim decomposed',
    'claim puny',
    'claim unicode',
    'claim upper',
  ]);
});
