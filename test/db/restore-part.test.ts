import { expect, test } from '@jest/globals';
import { onFaultPoint } from '../../src/kernel/fault-point.js';
import type { RestorePart } from '../../src/journal/restore-plan.js';
import { previewRestores, restoreRuns } from '../../src/worker/restore-runs.js';
import { atPoint } from '../support/at-point.js';
import {
  checksum,
  database,
  pace,
  platform,
  preview,
  region,
  restoreOnly,
  run,
} from '../support/restoring.js';

const { signal } = new AbortController();

async function restorePart(id: string, part: RestorePart, stop = signal) {
  const [report] = await restoreRuns(platform, [id], { signal: stop, paceOf: () => pace, part });
  if (!report) throw new Error('nothing was restored');
  return report;
}

const unit = (n: number): string => `${region}-org-${n}`;
const row = (o: number, a: number): string => `account:${region}-acc-${o}-${a}`;

async function stillClaimed(): Promise<number> {
  const { rows } = await database.owner.query<{ n: number }>(
    `select count(*) as n from directory.account where home_region = $1 and state = 'MANAGED'`,
    [region],
  );
  return rows[0]?.n ?? -1;
}

test('one unit, then one row, then the rest: each once, and the whole is exact', async () => {
  const before = await checksum();
  const bad = await run();
  const part = { units: [unit(3)] };
  const [forecast] = await previewRestores(platform.region, [bad.run.id], { part });
  expect(forecast?.preview).toMatchObject({ applied: 20, restorable: 20, alreadyRestored: 0, conflicts: 0 });
  const first = await restorePart(bad.run.id, part);
  expect(first).toMatchObject({
    report: {
      ...{ status: 'succeeded', applied: { claim: 20 } },
      reason: `unit ${unit(3)}: every row is as it was before the run`,
    },
    left: { applied: 20, alreadyRestored: 20, restorable: 0 },
  });
  expect(await stillClaimed()).toBe(180);
  const again = await restorePart(bad.run.id, part);
  expect(again.report).toMatchObject({
    ...{ code: 'nothing-to-do', applied: {} },
    reason: `every change of unit ${unit(3)} of run ${bad.run.id.slice(0, 8)} is restored already`,
  });
  const keys = [row(4, 1), row(4, 2), row(3, 1)];
  expect((await restorePart(bad.run.id, { keys })).report).toMatchObject({ applied: { claim: 2 } });
  expect(await preview(bad.run.id)).toMatchObject({ applied: 200, alreadyRestored: 22, restorable: 178 });
  expect((await restoreOnly(bad.run.id)).report).toMatchObject({
    ...{ applied: { claim: 178 }, reason: 'every row is as it was before the run' },
  });
  expect(await checksum()).toBe(before);
});

test('what all lists name, and nothing of what only one does', async () => {
  const bad = await run();
  const { report } = await restorePart(bad.run.id, {
    ...{ resources: ['account'], units: [unit(1), unit(2)], keys: [row(1, 0), row(2, 0), row(5, 0)] },
  });
  expect(report?.applied).toEqual({ claim: 2 });
  expect(await stillClaimed()).toBe(198);
});

test('a resource that the run did not change is refused, and a unit without changes is nothing to do', async () => {
  const bad = await run();
  await expect(restorePart(bad.run.id, { resources: ['domain'] })).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    message: `run ${bad.run.id.slice(0, 8)} of claims changed no resource "domain"`,
    hint: 'it changed account; a key is given as account:KEY',
  });
  const { report } = await restorePart(bad.run.id, { units: ["nobody's"] });
  expect(report).toMatchObject({
    ...{ code: 'nothing-to-do' },
    reason: `no change of unit nobody's of run ${bad.run.id.slice(0, 8)} was applied`,
  });
  expect(await stillClaimed()).toBe(200);
});

test('a part that was left undone is finished before another one', async () => {
  const before = await checksum();
  const bad = await run();
  const stop = new AbortController();
  atPoint('apply.committed', 1, () => {
    stop.abort();
    return Promise.resolve();
  });
  const left = await restorePart(bad.run.id, { units: [unit(1), unit(2)] }, stop.signal);
  onFaultPoint(undefined);
  expect(left.report).toBeUndefined();
  expect((await restorePart(bad.run.id, { units: [unit(6)] })).report).toMatchObject({
    ...{ status: 'succeeded', applied: { claim: 20 } },
  });
  expect(await stillClaimed()).toBe(140);
  await restoreOnly(bad.run.id);
  expect(await checksum()).toBe(before);
});
