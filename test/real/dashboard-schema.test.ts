import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { defaultDashboard } from '@grafana/schema';
import { parse } from 'yaml';
import { z } from 'zod';
import { DASHBOARDS } from '../../dashboards/source/dashboards.js';
import { schemaErrors } from '../support/grafana-schema.js';

const read = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
const committed = Object.fromEntries(
  await Promise.all(
    DASHBOARDS.map(
      async ({ uid }) => [uid, await read(`dashboards/grafana/dashboards/${uid}.json`)] as const,
    ),
  ),
);

/** Mistakes as they are made by hand: what stood there, what stands there now, and what is to be said of it. */
const MISTAKES = [
  ['"editable": false', '"editible": false', '\'"editible"\' does not exist'],
  ['"graphTooltip": 1', '"graphTooltip": 7', "'7' is not assignable"],
  ['"type": "datasource"', '"type": "source"', '\'"source"\' is not assignable'],
  ['"sort": 1', '"sort": 9', "'9' is not assignable"],
  ['"titleFormat":', '"title":', '\'"title"\' does not exist'],
  ['"interval": "15s"', '"step": "15s"', '\'"step"\' does not exist'],
  ['"type": "stat"', '"type": "singlestat"', '\'"singlestat"\' is not assignable'],
  ['"unit": "percentunit"', '"unit": 5', "'number' is not assignable to type 'string'"],
  ['"drawStyle": "line"', '"drawStyle": "curve"', '\'"curve"\' is not assignable'],
  ['"spanNulls": false', '"spanNils": false', '\'"spanNils"\' does not exist'],
  ['"id": "custom.lineWidth"', '"id": "custom.lineHeight"', 'custom.lineHeight'],
  ['"mode": "multi"', '"mode": "many"', '\'"many"\' is not assignable'],
  ['"graphMode": "none"', '"graphMode": "none", "showUnfilled": true', '\'"showUnfilled"\' does not exist'],
  ['"showUnfilled": true', '"showUnfilled": "yes"', "'string' is not assignable to type 'boolean'"],
  ['"rowHeight": 0.9', '"rowSize": 0.9', '\'"rowSize"\' does not exist'],
  ['"mode": "absolute"', '"mode": "relative"', '\'"relative"\' is not assignable'],
  ['"expr":', '"query":', '\'"query"\' does not exist'],
  ['"legendFormat":', '"legend":', '\'"legend"\' does not exist'],
] as const;

/** A dashboard with a mistake in it, and the line that it is on. */
function mistaken(right: string, wrong: string): { readonly text: string; readonly line: number } {
  const text = Object.values(committed).find((each) => each.includes(right));
  if (text === undefined) throw new Error(`no dashboard has ${right}`);
  return { text: text.replace(right, wrong), line: text.slice(0, text.indexOf(right)).split('\n').length };
}

describe('the committed dashboards', () => {
  test('have the types of Grafana’s schema, with the options and fields of their kinds of panel', () => {
    expect(schemaErrors(committed)).toEqual([]);
  });

  test('are of the schema’s newest version, and Grafana in compose.yaml is the schema’s', async () => {
    const versions = Object.values(committed).map((text) =>
      z.object({ schemaVersion: z.int() }).parse(JSON.parse(text)),
    );
    expect(new Set(versions.map(({ schemaVersion }) => schemaVersion))).toEqual(
      new Set([defaultDashboard.schemaVersion]),
    );
    const { devDependencies } = z
      .object({ devDependencies: z.record(z.string(), z.string()) })
      .parse(JSON.parse(await read('package.json')));
    const { services } = z
      .object({ services: z.object({ grafana: z.object({ image: z.string() }) }) })
      .parse(parse(await read('compose.yaml')));
    expect(services.grafana.image).toBe(`grafana/grafana:${devDependencies['@grafana/schema']}`);
  });
});

describe('a mistake in a dashboard is named, with its line', () => {
  const found = schemaErrors(
    Object.fromEntries(MISTAKES.map(([right, wrong], at) => [`mistake-${at}`, mistaken(right, wrong).text])),
  );

  test.each(MISTAKES.map(([right, wrong, said], at) => ({ right, wrong, said, at })))(
    '$wrong in the place of $right',
    ({ right, wrong, said, at }) => {
      const errors = found.filter((error) => error.startsWith(`mistake-${at}.ts:`));
      expect(errors).toContainEqual(
        expect.stringMatching(new RegExp(`^mistake-${at}\\.ts:${mistaken(right, wrong).line}: `)),
      );
      expect(errors.join('\n')).toContain(said);
    },
  );
});
