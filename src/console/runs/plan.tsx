import { useSignal } from '@preact/signals';
import { number } from '../../kernel/words.js';
import { call, type Output } from '../api.js';
import { Problem } from '../parts/problem.js';
import type { Run } from '../parts/run-status.js';
import { BandByHour } from './band-by-hour.js';
import { figure, figureOf, type Verdict } from './figures.js';

/** What a run planned, by kind, against the caps and the expectation that the guard judged it by. */
export function Plan({ run, verdicts }: { readonly run: Run; readonly verdicts: readonly Verdict[] }) {
  const planned = Object.entries(run.planned).sort(([, one], [, other]) => other - one);
  const capOf = (kind: string): Verdict | undefined => verdicts.find(({ rule }) => rule === `cap:${kind}`);
  const limits = planned.flatMap(([kind]) => figureOf(capOf(kind), 'limit') ?? []);
  const most = Math.max(1, ...planned.map(([, n]) => n), ...limits);
  // Where no earlier run had worked, no count would have been too many: such a rule has no upper end to draw.
  const isBand = (each: Verdict): boolean =>
    ['low', 'high'].every((end) => figureOf(each, end) !== undefined);
  const counted = verdicts.filter((each) => each.stage === 'plan' && isBand(each));
  return (
    <section aria-labelledby="plan">
      <h2 id="plan">Plan</h2>
      <ul class="bullets">
        {planned.map(([kind, n]) => (
          <CapBar key={kind} kind={kind} planned={n} most={most} cap={capOf(kind)} />
        ))}
      </ul>
      {counted.map((each) => (
        <Expectation key={each.rule} run={run} verdict={each} />
      ))}
    </section>
  );
}

interface CapProps {
  readonly kind: string;
  readonly planned: number;
  /** What the longest bar stands for. */
  readonly most: number;
  readonly cap: Verdict | undefined;
}

const CAPS: Readonly<Record<string, string>> = {
  perRun: 'at most in a run',
  perUnit: 'at most for one unit',
  shareOfRegion: 'at most of the region’s rows',
};

/** How many changes of a kind, and the cap as a mark across the bar. */
function CapBar({ kind, planned, most, cap }: CapProps) {
  const limit = figureOf(cap, 'limit');
  const name = cap?.figures['cap'];
  const over = cap?.verdict === 'fail';
  const x = (n: number): number => (1_000 * n) / (most * 1.08);
  // A cap for one unit is no measure of what is planned for all.
  const isOfAll = name === 'perRun' || name === 'shareOfRegion';
  return (
    <li class={over ? 'bullet bullet-over' : 'bullet'}>
      <p class="bullet-head">
        <span class="strong">{kind}</span>
        <span>
          <b>{number(planned)}</b> planned
          {limit !== undefined && (
            <span class={over ? 'verdict-fail' : 'quiet'}>
              {over ? ' ✕ over ' : ', '}
              {number(limit)} {CAPS[String(name)] ?? 'at most'}
            </span>
          )}
          {limit === undefined && (
            <span class="quiet">, {cap === undefined ? 'no cap' : 'within its cap'}</span>
          )}
        </span>
      </p>
      <svg viewBox="0 0 1000 22" preserveAspectRatio="none" aria-hidden="true">
        <rect class="bullet-all" y="4" width="1000" height="14" rx="3" />
        <rect class="bullet-have" y="4" width={Math.max(2, x(planned))} height="14" rx="3" />
        {limit !== undefined && isOfAll && (
          <rect class="bullet-cap" x={x(limit)} y="0" width="5" height="22" />
        )}
      </svg>
    </li>
  );
}

/** What a count rule expected of this run then, and on demand the band by hour as it is now. */
function Expectation({ run, verdict }: { readonly run: Run; readonly verdict: Verdict }) {
  const hours = useSignal<Output<'getExpectation'> | undefined>(undefined);
  const busy = useSignal(false);
  const error = useSignal<unknown>(undefined);
  const observed = figureOf(verdict, 'observed') ?? 0;
  const [low = 0, high = 0, expected = 0] = ['low', 'high', 'expected'].map((name) =>
    figureOf(verdict, name),
  );
  const x = (n: number): number => (1_000 * n) / (Math.max(1, observed, high) * 1.08);
  const inside = observed >= low && observed <= high;
  const { job, region } = run;
  const read = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      hours.value = await call('getExpectation', { job, region, rule: verdict.rule });
    } catch (thrown) {
      error.value = thrown;
    }
    busy.value = false;
  };
  return (
    <div
      class={`expectation bullet${verdict.verdict === 'fail' ? ' bullet-over' : ''}`}
      data-expected={verdict.rule}
    >
      <p class="bullet-head">
        <span class="strong">{verdict.rule}</span>
        <span>
          <b>{number(observed)}</b> {inside ? 'within' : observed > high ? 'above' : 'below'} the expected{' '}
          {figure(low)} to {figure(high)}
          <span class="quiet">, {figure(expected)} on average</span>
        </span>
      </p>
      <svg viewBox="0 0 1000 22" preserveAspectRatio="none" aria-hidden="true">
        <rect class="bullet-all" y="4" width="1000" height="14" rx="3" />
        <rect class="band" x={x(low)} y="4" width={Math.max(3, x(high) - x(low))} height="14" />
        <rect class="band-middle" x={x(expected)} y="4" width="3" height="14" />
        <rect class="bullet-point" x={Math.max(0, x(observed) - 4)} y="0" width="8" height="22" rx="3" />
      </svg>
      <p class="hint">
        Compared with {String(verdict.figures['comparable'] ?? 'earlier runs')},{' '}
        {number(figureOf(verdict, 'samples') ?? 0)} of them; 19 of 20 healthy runs are in the band.
      </p>
      {hours.value === undefined ? (
        <p class="buttons">
          <button type="button" disabled={busy.value} onClick={() => void read()}>
            {busy.value ? 'Drawing…' : 'Draw the band by hour'}
          </button>
        </p>
      ) : (
        <BandByHour run={run} bands={hours.value.bands} seen={{ observed, low, high }} />
      )}
      {error.value !== undefined && <Problem error={error.value} />}
    </div>
  );
}
