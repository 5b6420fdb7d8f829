import { AssertionError } from 'node:assert';
import type pg from 'pg';
import { verdictsOf } from '../guard/verdict-rows.js';
import { listChanges } from '../journal/browse-changes.js';
import { findRun } from '../runs/browse-runs.js';
import type { Kinds, Tables as Resources } from '../sdk/define-job.js';
import type { CountsOf, Expected, ProposedChange, Tables, TestRun } from './contract.js';
import { differences } from './tables.js';

/** The most changes of a run that a test sees. */
const MOST = 10_000;

export async function readTestRun<R extends Resources, Of extends Kinds<R>>(
  owner: pg.Pool,
  id: string,
  before: Tables,
): Promise<TestRun<R, Of>> {
  const { status, reason, planned, applied, conflicts } = await findRun(owner, id);
  const verdicts = await verdictsOf(owner, id);
  const { items } = await listChanges(owner, id, {}, { limit: MOST });
  const run = {
    ...{ id, status, reason, planned, applied, conflicts, before, verdicts },
    changes: items as unknown as readonly ProposedChange<R, Of>[],
  } as unknown as Omit<TestRun<R, Of>, 'expect'>;
  return { ...run, expect: (expected) => requireAsExpected(run, expected) };
}

function requireAsExpected(
  run: Omit<TestRun<Resources, Kinds<Resources>>, 'expect'>,
  { reason, verdicts = {}, ...expected }: Expected<string>,
): void {
  const given = new Map(run.verdicts.map(({ rule, verdict }) => [rule, verdict]));
  const faults = [
    ...(['status', 'conflicts', 'planned', 'applied'] as const).flatMap((what) => {
      const [wanted, is] = [expected[what], run[what]];
      return wanted === undefined || textOf(wanted) === textOf(is)
        ? []
        : [`${what} ${textOf(is)}, not ${textOf(wanted)}`];
    }),
    ...(reason === undefined ||
    (typeof reason === 'string' ? run.reason.includes(reason) : reason.test(run.reason))
      ? []
      : [`the reason does not match ${String(reason)}`]),
    ...Object.entries(verdicts).flatMap(([rule, verdict]) => {
      const is = given.get(rule);
      if (is === verdict) return [];
      return [
        is === undefined
          ? `no rule ${rule} judged it; there is ${[...given.keys()].join(', ') || 'none'}`
          : `${rule} ${is}, not ${verdict}`,
      ];
    }),
  ];
  if (faults.length === 0) return;
  const found = faults.map((fault) => `\n  ${fault}`).join('');
  const { status, planned, applied, conflicts } = run;
  throw failed(
    `the run is not as expected:${found}\n  it ended as ${status}: ${run.reason}`,
    { ...expected, ...(reason !== undefined && { reason }), verdicts },
    { status, planned, applied, conflicts, reason: run.reason, verdicts: Object.fromEntries(given) },
  );
}

/** Counts without those that are none, in one order. */
function textOf(value: number | string | CountsOf<string>): string {
  if (typeof value !== 'object') return String(value);
  const counts = Object.entries(value).filter(([, n]) => n !== undefined && n > 0);
  return counts.length === 0
    ? 'nothing'
    : counts
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .map(([kind, n]) => `${n} ${kind}`)
        .join(', ');
}

/** Throws an AssertionError where a table is not as it was. */
export function requireSame(before: Tables, now: Tables, what: string): void {
  const different = differences(before, now);
  if (different.length > 0) throw failed(`${what}: ${different.join('; ')}`, before, now);
}

export function failed(message: string, expected: unknown, actual: unknown): AssertionError {
  return new AssertionError({ message, expected, actual, operator: 'portcullis' });
}
