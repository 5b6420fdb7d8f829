import type { FiringTrigger } from '../journal/trigger-effects.js';
import type { Trial } from '../runs/run-triggers.js';
import { countOf, number } from '../kernel/words.js';
import type { Cell } from './table.js';

type Facts = (readonly [string, Cell])[];

/** The triggers that fire on what a run or a restore writes, and what a trial saw of them. */
export function triggerFacts(triggers: readonly FiringTrigger[], trial: Trial | null): Facts {
  const fire = triggers.map(({ table, trigger, when, on, sets }, at): Facts[number] => [
    at === 0 ? 'triggers' : '',
    `${trigger} of ${table}, ${when} ${on.join(', ')}: ${
      sets === null
        ? 'what it sets cannot be told'
        : sets.length === 0
          ? 'sets no column'
          : `sets ${sets.join(', ')}`
    }`,
  ]);
  return [...fire, ...(trial === null ? [] : trialFacts(trial))];
}

function trialFacts({ tried, refused, examples, sets, writes, ended }: Trial): Facts {
  const lines = [
    ...sets.map(({ resource, columns }) => `triggers also set ${columns.join(', ')} of ${resource}`),
    ...writes.map(
      ({ table, inserted, updated, deleted }) =>
        `triggers also write ${table} (${[
          ...(inserted > 0 ? [`${number(inserted)} inserted`] : []),
          ...(updated > 0 ? [`${number(updated)} updated`] : []),
          ...(deleted > 0 ? [`${number(deleted)} deleted`] : []),
        ].join(', ')}): not kept, and not restored`,
    ),
  ];
  return [
    [
      'tried',
      {
        text:
          (refused > 0
            ? `${countOf(tried, 'row')}, rolled back: ${number(refused)} would be refused`
            : `${countOf(tried, 'row')}, rolled back: all as they should be`) +
          (ended === null ? '' : `; ended early: ${ended}`),
        tone: refused > 0 || ended !== null ? 'warning' : 'good',
      },
    ],
    ...examples.map(({ why }): Facts[number] => ['', why]),
    ...lines.map((line): Facts[number] => ['', line]),
  ];
}
