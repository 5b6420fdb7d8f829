import { beforeAll, describe, expect, test } from '@jest/globals';
import type { FaultPoint } from '../../src/kernel/fault-point.js';
import { SAMPLE_REGIONS } from '../../src/demo/sample-rows.js';
import { testDatabase } from '../support/database.js';
import { portcullis } from '../support/portcullis.js';
import { changedRows, endLeases } from './killed-run.js';
import { sampleWorld, type SampleWorld } from './sample.js';

/** Where a restore's process dies, and how often it has met the place by then. */
const POINTS: readonly [point: FaultPoint, nth: number][] = [
  ['plan.before-commit', 1],
  ['apply.before-fence', 1],
  ['apply.fenced', 1],
  ['apply.written', 4],
  ['apply.committed', 1],
  ['apply.committed', 5],
  ['run.before-finish', 1],
];

const database = await testDatabase();

interface Answer {
  readonly runs: readonly { readonly status: string; readonly restored: number; readonly left: object }[];
}

describe('a restore of a domain-claim run, with no undo code of the job’s own', () => {
  let world: SampleWorld;
  beforeAll(async () => {
    world = await sampleWorld(database, 'apply: { lanes: 2, batch: 20, firstBatches: [] }');
  });

  const command = async (args: readonly string[], killAt?: string) =>
    portcullis(args, { env: world.env, ...(killAt !== undefined && { killAt }) }).finished;

  async function badRun(region: string): Promise<string> {
    const { stdout } = await command(['run', 'domain-claim', '--region', region, '--json']);
    const { runId, applied } = JSON.parse(stdout) as { runId: string; applied: Record<string, number> };
    expect(applied['claim']).toBeGreaterThan(100);
    expect(await changedRows(world, region)).toBeGreaterThan(100);
    return runId;
  }

  test.each(POINTS.map(([point, nth], at) => [point, nth, at] as const))(
    'killed at %s (%i), is taken up by the next process, and every row is exactly as it was',
    async (point, nth, at) => {
      const region = SAMPLE_REGIONS[at % SAMPLE_REGIONS.length] ?? '';
      const run = await badRun(region);
      expect(await command(['restore', run, '--json'], `${point}:${nth}`)).toMatchObject({
        signal: 'SIGKILL',
      });
      await endLeases(world);
      const { code, stdout, stderr } = await command(['restore', run, '--json']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const { runs } = JSON.parse(stdout) as Answer;
      expect(runs).toMatchObject([
        { status: 'succeeded', left: { restorable: 0, asBefore: 0, conflicts: 0 } },
      ]);
      expect(await changedRows(world, region)).toBe(0);
      // One restore, by two processes.
      const { rows } = await database.owner.query(
        'select status, attempt, conflicts from portcullis_region.run where restores = $1',
        [run],
      );
      expect(rows).toEqual([{ status: 'succeeded', attempt: 2, conflicts: 0 }]);
    },
    180_000,
  );

  test('tells beforehand what it then does, spares a user’s edit, and is on the record', async () => {
    const region = SAMPLE_REGIONS[POINTS.length % SAMPLE_REGIONS.length] ?? '';
    const run = await badRun(region);
    await database.owner.query(
      `update directory.account set state = 'RELEASED'
       where id = (select key from portcullis_region.change where run = $1 and kind = 'claim' limit 1)`,
      [run],
    );
    const dry = JSON.parse((await command(['restore', run, '--dry-run', '--json'])).stdout) as {
      runs: { left: { restorable: number; conflicts: number } }[];
    };
    expect(dry.runs[0]?.left.conflicts).toBe(1);
    const { stdout } = await command(['restore', run, '--conflicts', 'csv']);
    const lines = stdout.trimEnd().split('\r\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toBe('run,resource,key,kind,unit,before,after,now,refusal');
    expect(lines[1]).toContain('RELEASED');
    expect(await changedRows(world, region)).toBe(1);
    const { rows } = await database.owner.query(
      `select action, evidence #>> '{restored}' as restored from portcullis_control.audit where subject = $1 order by seq`,
      [run],
    );
    expect(rows).toEqual([
      { action: 'restore', restored: null },
      { action: 'restore-ended', restored: String(dry.runs[0]?.left.restorable) },
    ]);
  });
});
