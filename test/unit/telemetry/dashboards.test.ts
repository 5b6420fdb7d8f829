import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { DASHBOARDS, dashboardUrl, type DashboardUid } from '../../../src/telemetry/dashboards.js';

const FOLDER = new URL('../../../dashboards/grafana/dashboards/', import.meta.url);

interface Shipped {
  readonly uid: string;
  readonly title: string;
  readonly templating: { readonly list: readonly { readonly name: string; readonly multi?: boolean }[] };
}
const shipped = await Promise.all(
  (await readdir(FOLDER)).map(
    async (file) => JSON.parse(await readFile(new URL(file, FOLDER), 'utf8')) as Shipped,
  ),
);

test('the dashboards that are linked to are those that are shipped', () => {
  expect(
    Object.fromEntries(shipped.map(({ uid, title }) => [uid, title.replace('Portcullis: ', '')])),
  ).toEqual(DASHBOARDS);
});

test.each(shipped)('a link to $title gives its variables by their names', ({ uid, templating: { list } }) => {
  const place = { job: 'a job', regions: ['eu-1', 'us&2'], fromMs: 3_600_000, toMs: 7_200_000 };
  const url = new URL(dashboardUrl('https://grafana.example/sub/', uid as DashboardUid, place));
  expect(url.origin + url.pathname).toBe(`https://grafana.example/sub/d/${uid}`);
  expect([...url.searchParams]).toEqual([
    ['var-job', 'a job'],
    ['var-region', 'eu-1'],
    ['var-region', 'us&2'],
    ['from', '1800000'],
    ['to', '9000000'],
  ]);
  const names = [...url.searchParams.keys()].flatMap((name) => /^var-(.*)/.exec(name)?.[1] ?? []);
  for (const name of names) expect(list.map((each) => each.name)).toContain(name);
  expect(list.find(({ name }) => name === 'region')?.multi).toBe(true);
});

test('without a place a link shows every job, in the hours until now', () => {
  const url = new URL(dashboardUrl('http://localhost:3000', 'portcullis-runs'));
  expect(url.search).toBe('?from=now-6h&to=now');
});
