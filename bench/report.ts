import { renderTable } from '#dist/cli/table.js';
import type { Bench, Result } from './bench.js';

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
