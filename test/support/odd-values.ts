import type pg from 'pg';

/** One column for each kind of value that is easily lost on the way through JavaScript or JSON. */
export const ODD_COLUMNS: Readonly<Record<string, readonly [type: string, one: string, other: string]>> = {
  words: ['text', `E'it''s "quoted"\\n\\ttabbed \\\\ back\\\\slashed \\\\N \\\\u0000 é 漢 🦉'`, `''`],
  short: ['varchar(12)', `'abc'`, `'twelve chars'`],
  padded: ['char(5)', `'ab'`, `'xyz'`],
  yes: ['boolean', 'true', 'null'],
  small: ['smallint', '-32768', '7'],
  whole: ['integer', '2147483647', 'null'],
  big: ['bigint', '9223372036854775807', '-9007199254740993'],
  exact: ['numeric', '123456789012345678901234567890.000000000100', `'NaN'`],
  money: ['numeric(12,2)', '10.10', '0.00'],
  real_: ['double precision', '0.1::float8 + 0.2::float8', `'-Infinity'`],
  moment: ['timestamptz', `'2021-02-10 00:00:00.123456+00'`, `'infinity'`],
  coarse: ['timestamptz(3)', `'2021-02-10 00:00:00.123+00'`, 'null'],
  local_: ['timestamp', `'0044-03-15 12:00:00 BC'`, `'2026-01-01 00:00:00.000001'`],
  day: ['date', `'2024-02-29'`, 'null'],
  span: ['interval', `'1 mon -3 days 04:05:06.000007'`, `'0'`],
  json_: ['json', `'{"b": 1, "a": [1.50, null, "x"]}'`, `'"text"'`],
  jsonb_: ['jsonb', `'{"a": {"n": 1e400}}'`, `'null'`],
  list: ['text[]', `array['a,b', 'c"d', null, '']`, `'{}'`],
  bytes: ['bytea', `'\\xdeadbeef00'`, `''`],
  id_: ['uuid', `'00000000-0000-4000-8000-000000000001'`, 'null'],
  mood: ['odd_mood', `'so so'`, `'great'`],
  range_: ['int4range', `'[1,5)'`, `'empty'`],
  spot: ['point', `'(1.5,-2)'`, `'(0,0)'`],
  bits: ['bit(4)', `B'1010'`, `B'0000'`],
};

export const ODD_NAMES = Object.keys(ODD_COLUMNS);

/** Makes the empty table `directory.odd`, with a column of each kind and one that the database computes. */
export async function makeOddTable(owner: pg.Pool): Promise<void> {
  await owner.query(`
    create type odd_mood as enum ('so so', 'great');
    create table directory.odd (id bigint primary key, home_region text not null,
      ${ODD_NAMES.map((name) => `${name} ${ODD_COLUMNS[name]?.[0] ?? ''}`).join(', ')},
      shouted text generated always as (upper(words)) stored);
    grant select on directory.odd to public;
    grant insert, update, delete on directory.odd to public`);
}

/** The values of a row, as SQL: for each column the one, the other, or none. */
export function oddRow(pick: (column: string) => 0 | 1 | 2): string {
  return ODD_NAMES.map((name) => {
    const which = pick(name);
    return which === 0 ? 'null' : (ODD_COLUMNS[name]?.[which] ?? 'null');
  }).join(', ');
}
