import { afterEach, describe, expect, test } from '@jest/globals';
import { ALONE, findApproval } from '../../src/access/approvals.js';
import type { Role } from '../../src/access/roles.js';
import { startAlone } from '../../src/app/alone.js';
import { readAdmissions } from '../../src/flags/admission-store.js';
import { decideBreakGlass } from '../../src/rollout/break-glass.js';
import { createLogger } from '../../src/telemetry/log.js';
import { databasesAt } from '../http/serving.js';
import { databaseCli } from '../support/database-cli.js';
import { testDatabase } from '../support/database.js';
import { tokenOf } from '../support/people.js';
import { begunOn, type Rolling } from '../support/rolling.js';
import { until } from '../support/until.js';
import { listBreakGlass } from '../../src/flags/browse-break-glass.js';

/** Break-glass where nobody else may approve: an hour, which everybody is told of and may cancel. */

const database = await testDatabase();
const { owner } = database;
const { run } = await databaseCli(owner);
const { token } = await tokenOf(owner, { name: 'ann', role: 'admin' });

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A control plane that approves what is due. */
function serve(): void {
  const installation = { control: owner, regionDatabases: databasesAt(owner), jobs: [] };
  const beat = startAlone(installation, createLogger({ level: 'silent' }), undefined);
  stops.push(() => beat.stop());
}

/** Asks on the command line, alone. Answers the request's id. */
async function asked(roll: Rolling): Promise<string> {
  const [region = ''] = roll.policy.regions;
  const order = [
    '--version',
    '1.1.0',
    '--region',
    region,
    '--share',
    '50%',
    '--reason',
    'nobody else is here',
  ];
  const { out, err, exit } = await run(
    { token },
    ...['break-glass', 'request', roll.job, ...order, '--alone', '--json'],
  );
  if (exit !== 0) throw new Error(err);
  return (JSON.parse(out) as { id: string }).id;
}

/** Has the request's hour be over. */
async function pass(id: string): Promise<void> {
  await owner.query(
    `update portcullis_control.approval set alone_at = alone_at - interval '61 minutes' where id = $1`,
    [id],
  );
}

async function admitted({ job, policy, candidate }: Rolling): Promise<number> {
  const [region = ''] = policy.regions;
  return (await readAdmissions(owner)).of(job, region).permille.get(candidate.version) ?? 0;
}

describe('break-glass that one person asks for alone', () => {
  test('is announced, admits nothing before its delay is over, and then shows that nobody agreed', async () => {
    const roll = await begunOn(database);
    const id = await asked(roll);
    const { rows } = await owner.query<{ seconds: number; told: string[] }>(
      `select extract(epoch from a.alone_at - clock_timestamp())::float8 as seconds,
         (select array_agg(n.title order by n.at) from portcullis_control.notice n where n.details->>'request' = a.id) as told
       from portcullis_control.approval a where a.id = $1`,
      [id],
    );
    expect(rows[0]?.seconds).toBeGreaterThan(3_500);
    expect(rows[0]?.told).toEqual([
      expect.stringContaining('asks for break-glass'),
      expect.stringContaining(`ann alone asks for break-glass of ${roll.job} ${roll.candidate.version}`),
    ]);
    await expect(decideBreakGlass(roll.ports, id, ALONE, 'approve')).rejects.toMatchObject({
      message: expect.stringContaining('does not approve itself before') as unknown,
    });
    // Another is due first: when that one is in force, this one was looked at too.
    const other = await begunOn(database);
    const due = await asked(other);
    await pass(due);
    serve();
    await until('the other is in force', async () => (await admitted(other)) === 500);
    expect([await admitted(roll), (await findApproval(owner, id)).state]).toEqual([100, 'pending']);
    await pass(id);
    await until('it is in force', async () => (await admitted(roll)) === 500);
    expect(await listBreakGlass(owner, { id })).toMatchObject([
      { requestedBy: 'ann', approvedBy: 'ann alone', inForce: true },
    ]);
    expect((await run({ token }, 'break-glass', 'list', roll.job)).out).toContain('ann alone');
  });

  test.each(['viewer', 'operator', 'nobody'] as const)('is cancelled by %s', async (who) => {
    const roll = await begunOn(database);
    const id = await asked(roll);
    const role: Role | undefined = who === 'nobody' ? undefined : who;
    const as = role && (await tokenOf(owner, { name: `a-${who}`, role }));
    const cancelled = await run(as === undefined ? {} : { token: as.token }, 'reject', id);
    expect([cancelled.exit, cancelled.err]).toEqual([0, '']);
    await pass(id);
    const other = await begunOn(database);
    await pass(await asked(other));
    serve();
    await until('the other is in force', async () => (await admitted(other)) === 500);
    expect(await admitted(roll)).toBe(100);
    expect(await listBreakGlass(owner, { id })).toEqual([]);
  });

  test('does not count any more once the version was quarantined', async () => {
    const roll = await begunOn(database);
    const id = await asked(roll);
    await roll.trip(roll.policy.regions[0] ?? '');
    await pass(id);
    const other = await begunOn(database);
    await pass(await asked(other));
    serve();
    await until('the other is in force', async () => (await admitted(other)) === 500);
    expect(await admitted(roll)).toBe(0);
    expect((await findApproval(owner, id)).state).toBe('pending');
  });
});
