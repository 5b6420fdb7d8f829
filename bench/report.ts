import { renderTable } from '#dist/cli/table.js';
import type { Bench, Result } from './bench.js';
import type { ConsoleResult } from './console.js';
import type { GuardResult } from './guard.js';
import type { KillResult } from './kill.js';

/** The results as a table for a person. */
export function renderResults(benches: readonly Bench[], results: readonly Result[]): string {
  const rows = results.map((result) => {
    const bench = benches.find(({ name }) => name === result.name);
    return [
      result.name,
      `${result.ours} ${result.unit}`,
      `${result.reference} ${result.unit}`,
      result.ratio.toFixed(2),
      `${bench?.ratio === 'growth' ? '≤' : '≥'} ${result.reach}`,
      result.ok ? 'yes' : 'NO',
      result.runs,
      bench ? `${bench.ours}; against: ${bench.reference}` : '',
    ];
  });
  const columns = ['bench', 'ours', 'reference', 'ratio', 'reach', 'ok', 'runs', 'what'];
  return renderTable(
    columns.map((title) => ({ title, align: title === 'what' || title === 'bench' ? 'left' : 'right' })),
    rows,
    { paint: (text) => text, columns: Number.POSITIVE_INFINITY },
  );
}

/** What a kill took, by number of writers, as a table for a person. */
export function renderKill({ settings, ok }: KillResult): string {
  const columns = ['writers', 'batch', 'rounds', 'a batch', 'p50', 'p95', 'p99', 'max', 'after the ack'];
  const rows = settings.map(({ writers, batch, rounds, batchMs, killMs, committedAfterAck }) => [
    ...[writers, batch, rounds, `${batchMs} ms`],
    ...[killMs.p50, killMs.p95, killMs.p99, killMs.max].map((ms) => `${ms} ms`),
    committedAfterAck,
  ]);
  const table = renderTable(
    columns.map((title) => ({ title, align: 'right' })),
    rows,
    { paint: (text) => text, columns: Number.POSITIVE_INFINITY },
  );
  return `kill: ${ok ? 'within' : 'NOT within'} its reach\n${table}`;
}

/** What the guard's rules reach, as a table for a person. */
export function renderGuard({ figures, ok, seed }: GuardResult): string {
  const rows = figures.map(({ rule, what, setting, measured, reach, ok: reached, repetitions, naive }) => [
    rule,
    what,
    setting,
    String(measured),
    reach === null ? '–' : 'most' in reach ? `≤ ${reach.most}` : `≥ ${reach.least}`,
    reached ? 'yes' : 'NO',
    repetitions,
    Object.entries(naive)
      .map(([name, value]) => `${name}: ${value}`)
      .join(', '),
  ]);
  const columns = ['rule', 'figure', 'setting', 'measured', 'reach', 'ok', 'repetitions', 'naive rules'];
  const table = renderTable(
    columns.map((title) => ({ title })),
    rows,
    { paint: (text) => text, columns: Number.POSITIVE_INFINITY },
  );
  return `guard: ${ok ? 'within' : 'NOT within'} its reach (seed ${seed})\n${table}`;
}

/** What a browser shows of it, as a table for a person. */
export function renderConsole({ figures, ok, runs, load }: ConsoleResult): string {
  const rows = figures.map(({ what, unit, min, median, max, reach, ok: reached }) => [
    what,
    ...[min, median, max].map((figure) => `${figure} ${unit}`),
    reach === null ? '–' : `≤ ${reach}`,
    reached ? 'yes' : 'NO',
  ]);
  const columns = ['figure', 'min', 'median', 'max', 'reach', 'ok'];
  const table = renderTable(
    columns.map((title) => ({ title, align: title === 'figure' ? 'left' : 'right' })),
    rows,
    { paint: (text) => text, columns: Number.POSITIVE_INFINITY },
  );
  return `console: ${ok ? 'within' : 'NOT within'} its reach (${runs} rounds, load ${load})\n${table}`;
}
