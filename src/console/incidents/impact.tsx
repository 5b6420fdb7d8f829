import { useSignal } from '@preact/signals';
import { countOf, number } from '../../kernel/words.js';
import { call } from '../api.js';
import { Copyable } from '../parts/copy.js';
import { Problem } from '../parts/problem.js';
import { Link } from '../router.js';
import type { Incident } from './incident-state.js';

const MOST_UNITS = 25;

interface Unit {
  readonly region: string;
  readonly unit: string;
  readonly rows: number;
  readonly byResource: Readonly<Record<string, number>>;
}

/** What it has changed, as of now: by region, by product, and on demand by unit. */
export function Impact({ incident: { id, impact, unitLabel } }: { readonly incident: Incident }) {
  const units = useSignal<readonly Unit[] | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const busy = useSignal(false);
  const read = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      const found: Unit[] = [];
      for await (const each of await call('exportIncidentUnits', { id, most: MOST_UNITS })) found.push(each);
      units.value = found;
    } catch (thrown) {
      error.value = thrown;
    }
    busy.value = false;
  };
  return (
    <section aria-labelledby="impact">
      <h2 id="impact">Impact</h2>
      <p>
        <b>{countOf(impact.rows, 'row')}</b> of <b>{countOf(impact.units, unitLabel.one, unitLabel.many)}</b>{' '}
        by {countOf(impact.runs, 'run')}; {number(impact.restored)} put back
        {impact.cascaded > 0 &&
          `, with ${countOf(impact.cascaded, 'row')} of other tables that went with them`}
        {impact.restoreConflicts > 0 && `, ${countOf(impact.restoreConflicts, 'conflict')} skipped`}
      </p>
      {impact.regions.length > 0 && (
        <table class="list">
          <thead>
            <tr>
              <th scope="col">Region</th>
              <th scope="col" class="number unit-label">
                {unitLabel.many}
              </th>
              <th scope="col" class="number">
                Rows
              </th>
              <th scope="col" class="number">
                Put back
              </th>
            </tr>
          </thead>
          <tbody>
            {impact.regions.map((each) => (
              <tr key={each.region}>
                <th scope="row">{each.region}</th>
                <td class="number">{number(each.units)}</td>
                <td class="number">{number(each.rows)}</td>
                <td class="number">{number(each.restored)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {impact.byProduct !== null && impact.byProduct.length > 0 && (
        <p>
          Used in{' '}
          {impact.byProduct
            .map(
              ({ product, rows, units: many }) =>
                `${product} (${countOf(rows, 'row')}, ${countOf(many, unitLabel.one, unitLabel.many)})`,
            )
            .join(', ')}
        </p>
      )}
      {impact.rows > 0 &&
        (units.value === undefined ? (
          <p class="buttons">
            <button type="button" disabled={busy.value} onClick={() => void read()}>
              {busy.value ? 'Reading…' : `Show the ${unitLabel.many}`}
            </button>
          </p>
        ) : (
          <>
            <table class="list">
              <caption class="hint">
                At most {MOST_UNITS} {unitLabel.many} of each region, the most rows first
              </caption>
              <thead>
                <tr>
                  <th scope="col" class="unit-label">
                    {unitLabel.one}
                  </th>
                  <th scope="col">Region</th>
                  <th scope="col" class="number">
                    Rows
                  </th>
                </tr>
              </thead>
              <tbody>
                {units.value.map(({ region, unit, rows }) => (
                  <tr key={`${region} ${unit}`}>
                    <th scope="row">
                      <Link to={`/units?${new URLSearchParams({ q: unit }).toString()}`}>
                        <code>{unit}</code>
                      </Link>
                    </th>
                    <td>{region}</td>
                    <td class="number">{number(rows)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
            <p class="hint">A {unitLabel.one}’s own page lists its runs, each with a restore of just it.</p>
            <Copyable
              text={`portcullis impact ${id} --csv > units-${id}.csv`}
              what="the command that lists every unit"
            />
          </>
        ))}
      {error.value !== undefined && <Problem error={error.value} />}
    </section>
  );
}
