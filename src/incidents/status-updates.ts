import { z } from 'zod';
import { countOf, listOf, time, unitsOf } from '../kernel/words.js';
import type { Assessment } from './assess-incident.js';
import { hasDamage, regionsKilled } from './incident.js';
import { stoppedAt } from './measures.js';
import { isoTime } from '../kernel/schema.js';

export const StatusUpdate = z.strictObject({
  phase: z.enum(['investigating', 'identified', 'resolved']),
  at: isoTime,
  text: z.string(),
});
export type StatusUpdate = z.infer<typeof StatusUpdate>;

/**
 * Short updates for a status page, as far as the incident has come: for customers, so with neither versions nor
 * names of rules in them. Someone reads them before they are published. None where nobody has named damage: a kill
 * alone is no news for customers.
 */
export function statusUpdatesOf({ incident, impact, unitLabel, silent }: Assessment): StatusUpdate[] {
  if (!hasDamage(incident)) return [];
  const { regions, openedAt, restoredAt, closedAt, falseAlarm } = incident;
  const where = regions.map(({ region }) => region).join(', ');
  const updates: StatusUpdate[] = [
    {
      phase: 'investigating',
      at: openedAt,
      text: `We are investigating unexpected changes made by an automated job in ${where}. Some customers may be affected.`,
    },
  ];
  const stopped = stoppedAt(incident);
  if (stopped !== null && !falseAlarm) {
    updates.push({
      phase: 'identified',
      at: stopped,
      text: `We have stopped ${regionsKilled(incident).length === 0 ? 'the part of the job that was at fault' : 'the job'} at ${time(stopped)}: it makes no further changes. ${
        impact.units === 0 && silent.length === 0
          ? 'It was stopped before it changed anything.'
          : `${unitsOf(impact.units, unitLabel)}${silent.length === 0 ? '' : ', and possibly more,'} ${impact.units === 1 ? 'was' : 'were'} affected${withUsers(impact)}. We are restoring what was changed.`
      }`,
    });
  }
  const over = closedAt ?? restoredAt;
  if (over === null) return updates;
  updates.push({
    phase: 'resolved',
    at: restoredAt ?? over,
    text: resolution(falseAlarm, restoredAt !== null, impact),
  });
  return updates;
}

/** Only what is known: which products the changed rows are used in, not what their users could not do. */
function withUsers({ byProduct }: Assessment['impact']): string {
  if (byProduct === null || byProduct.length === 0) return '';
  return `, with users of ${listOf(byProduct.map(({ product }) => product))}`;
}

function resolution(
  falseAlarm: boolean,
  restored: boolean,
  { rows, restoreConflicts }: Assessment['impact'],
): string {
  if (falseAlarm)
    return 'Our checks have shown that the changes were as intended. Nothing had to be restored.';
  if (rows === 0) return 'The job was stopped before it changed anything. Nothing was affected.';
  if (!restored)
    return 'The job makes no such changes any more. What it changed was reviewed with those concerned.';
  return restoreConflicts === 0
    ? 'Everything that was changed has been restored.'
    : `Everything that was changed has been restored, except for ${countOf(restoreConflicts, 'entry', 'entries')} that had been edited since; we are contacting those concerned.`;
}
