import { countOf } from '../../kernel/words.js';
import { Moment } from '../parts/moment.js';
import type { Verdict } from './figures.js';

export const VERDICT_SIGNS: Readonly<Record<Verdict['verdict'], string>> = {
  pass: '✓',
  fail: '✕',
  'too-few': '?',
  'no-data': '?',
  unreachable: '?',
};

const STAGES: Readonly<Record<Verdict['stage'], string>> = {
  plan: 'The plan',
  apply: 'While it wrote',
  bake: 'Its bake',
};

/** What each rule said, in words, with the rows that broke one. */
export function Verdicts({ verdicts }: { readonly verdicts: readonly Verdict[] }) {
  const stages = (Object.keys(STAGES) as Verdict['stage'][]).filter((stage) =>
    verdicts.some((each) => each.stage === stage),
  );
  return (
    <section aria-labelledby="verdicts">
      <h2 id="verdicts">What the guard said</h2>
      {stages.map((stage) => (
        <Stage key={stage} name={STAGES[stage]} verdicts={verdicts.filter((each) => each.stage === stage)} />
      ))}
    </section>
  );
}

/** What failed or could not be said in full; what passed in a line, since it is most. */
function Stage({ name, verdicts }: { readonly name: string; readonly verdicts: readonly Verdict[] }) {
  const passed = verdicts.filter(({ verdict }) => verdict === 'pass');
  const others = verdicts.filter(({ verdict }) => verdict !== 'pass');
  return (
    <div class="stage">
      <h3>{name}</h3>
      <ul class="verdicts">
        {others.map((each) => (
          <Said key={each.rule} verdict={each} />
        ))}
      </ul>
      {passed.length > 0 && (
        <details open={others.length === 0 && passed.length <= FEW}>
          <summary class="verdict verdict-pass">✓ {countOf(passed.length, 'rule')} passed</summary>
          <ul class="passed">
            {passed.map(({ rule, reason }) => (
              <li key={rule} data-rule={rule}>
                ✓ {rule}: <span class="quiet">{wordsOf(rule, reason)}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

const FEW = 4;

/** A reason begins with its rule, which stands beside it. */
const wordsOf = (rule: string, reason: string): string =>
  reason.startsWith(`${rule}: `) ? reason.slice(rule.length + 2) : reason;

function Said({ verdict: { rule, verdict, reason, evidence, at } }: { readonly verdict: Verdict }) {
  const tone = verdict === 'pass' || verdict === 'fail' ? verdict : 'open';
  return (
    <li data-rule={rule}>
      <p>
        <span class={`verdict verdict-${tone}`}>
          {VERDICT_SIGNS[verdict]} {rule}: {verdict.replaceAll('-', ' ')}
        </span>
        <span class="quiet">
          {' '}
          at <Moment at={at} />
        </span>
      </p>
      <p class="why">{wordsOf(rule, reason)}</p>
      {evidence.length > 0 && <Rows rows={evidence} />}
    </li>
  );
}

/** The rows that broke a rule, as its query names their columns. */
function Rows({ rows }: { readonly rows: Verdict['evidence'] }) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return (
    <div class="scrolls" tabIndex={0} role="region" aria-label="Rows that broke the rule">
      <table class="list">
        <caption class="hint">The first {countOf(rows.length, 'row')} that broke it</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, at) => (
            <tr key={at}>
              {columns.map((column) => (
                <td key={column}>{valueText(row[column])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const valueText = (value: unknown): string =>
  value === null || value === undefined ? 'null' : typeof value === 'string' ? value : JSON.stringify(value);
