import { formatDurationMs } from '../kernel/duration.js';
import type { Assessment } from '../incidents/assess-incident.js';
import { causeOf, closedByTrips, hasDamage, type Incident, type TripClosed } from '../incidents/incident.js';
import { measuresOf } from '../incidents/measures.js';
import type { Step } from '../incidents/runbook.js';
import type { Moment } from '../incidents/timeline.js';
import { uncheckedText } from '../incidents/unchecked-steps.js';
import type { Impact } from '../journal/impact.js';
import type { Voice } from './context.js';
import { toneOf, type Tone } from './tone.js';
import { cascadedText } from '../incidents/post-mortem.js';
import { countOf, number, time, unitsOf, type UnitLabel } from '../kernel/words.js';
import { breakGlassLine } from '../flags/browse-break-glass.js';

const STATES: Readonly<Record<Incident['state'], Tone>> = {
  open: 'bad',
  contained: 'warning',
  restoring: 'warning',
  restored: 'good',
  closed: 'quiet',
};

export function incidentsText(voice: Voice, incidents: readonly Incident[]): string {
  if (incidents.length === 0) return 'No incidents\n';
  return voice.table(
    [
      ...[{ title: 'id' }, { title: 'state' }, { title: 'severity', below: 2 }, { title: 'job', below: 5 }],
      ...[
        { title: 'version', below: 1 },
        { title: 'regions', below: 3 },
        { title: 'opened', below: 4 },
      ],
      { title: 'title' },
    ],
    incidents.map((each) => [
      each.id,
      stateCell(each),
      each.severity ?? '–',
      each.job,
      each.version ?? '–',
      each.regions.map(({ region }) => region).join(', '),
      time(each.openedAt),
      each.title,
    ]),
  );
}

/** Everything about one incident, the gist first. */
export function incidentText(voice: Voice, looked: Assessment, moments: readonly Moment[]): string {
  return [
    `${looked.incident.title}\n\n${factsText(voice, looked)}`,
    regionsText(voice, looked),
    ...productsText(voice, looked.impact, looked.unitLabel),
    ...(hasDamage(looked.incident) ? [runsText(voice, looked)] : []),
    `timeline (UTC)\n${voice.facts(
      moments.map(({ at, what, who }) => [time(at), who === null ? what : `${what} (${who})`]),
    )}`,
    `what to do: portcullis incident runbook ${looked.incident.id}\n`,
  ].join('\n');
}

function factsText(
  voice: Voice,
  { incident, impact, unitLabel, silent, unchecked, breakGlass }: Assessment,
): string {
  const { detectMs, stopMs, restoreMs } = measuresOf(incident, impact.firstAppliedAt);
  const took = (ms: number | null): string => (ms === null ? '–' : formatDurationMs(ms));
  return voice.facts([
    ['incident', incident.id],
    ['state', stateCell(incident)],
    ['severity', incident.severity ?? 'not assessed'],
    ['job', `${incident.job}${incident.version === null ? '' : ` ${incident.version}`}`],
    ['why', causeOf(incident)],
    ...breakGlass.map((each) => ['break-glass', { text: breakGlassLine(each), tone: 'warning' }] as const),
    ...unchecked.map((each) => ['not checked', { text: uncheckedText(each), tone: 'warning' }] as const),
    ...closedByTrips(incident).map((each) => ['closed', closedText(incident, each)] as const),
    ['since', `${time(incident.openedAt)}, opened by ${incident.openedBy} (${incident.cause})`],
    ...(hasDamage(incident)
      ? ([
          [
            'changed',
            `${countOf(impact.rows, 'row')} of ${unitsOf(impact.units, unitLabel)}${cascadedText(impact)}`,
          ],
          ['put back', `${number(impact.restored)}, ${countOf(impact.restoreConflicts, 'conflict')} skipped`],
        ] as const)
      : ([['damage', undamagedText(incident)]] as const)),
    ['time to detect', took(detectMs)],
    ['time to stop', took(stopMs)],
    ['time to restore', took(restoreMs)],
    ...(incident.conclusion === null
      ? []
      : [['conclusion', `${incident.falseAlarm ? 'a false alarm: ' : ''}${incident.conclusion}`] as const]),
    ...silent.map(
      ({ region, reason }) =>
        ['not asked', { text: `${region}, whose figures are missing: ${reason}`, tone: 'bad' }] as const,
    ),
  ]);
}

/** What a trip has closed: the candidate alone, or the gate. */
function closedText({ job, version }: Incident, { region, closed, why }: TripClosed): string {
  return closed === 'candidate'
    ? `${version ?? ''} alone in ${region}; the gate ${job}.${region} stays open for other versions: ${why}`
    : `the gate ${job}.${region}: ${why}`;
}

function undamagedText({ id, drill }: Incident): string {
  return drill ? 'none: it is a drill' : `none named; to name it: portcullis incident include ${id} RUN`;
}

function regionsText(voice: Voice, { incident, impact, unitLabel }: Assessment): string {
  return voice.table(
    ['region', 'contained', 'runs', unitLabel.many, 'rows', 'put back', 'skipped'].map((title) => ({
      title,
    })),
    incident.regions.map(({ region, containedAt }) => {
      const here = impact.regions.find((each) => each.region === region);
      return [
        region,
        containedAt === null ? { text: 'not yet', tone: 'bad' as const } : time(containedAt),
        here?.runs ?? 0,
        here?.units ?? 0,
        here?.rows ?? 0,
        here?.restored ?? 0,
        here?.restoreConflicts ?? 0,
      ];
    }),
  );
}

/** Which products the changed rows are used in; nothing where that is not known, or in none. */
export function productsText(
  voice: Voice,
  { byProduct }: Pick<Impact, 'byProduct'>,
  { many }: UnitLabel,
): string[] {
  if (byProduct === null || byProduct.length === 0) return [];
  return [
    voice.table(
      [{ title: 'product' }, { title: 'rows used in it' }, { title: many }],
      byProduct.map(({ product, rows, units }) => [product, rows, units]),
    ),
  ];
}

function runsText(voice: Voice, { runs }: Assessment): string {
  if (runs.length === 0) return 'No runs belong to it\n';
  return voice.table(
    ['run', 'began', 'region', 'version', 'status', 'restore', 'reason'].map((title) => ({ title })),
    runs.map((run) => [
      run.id.slice(0, 8),
      time(run.createdAt),
      run.region,
      run.version,
      { text: run.status, tone: toneOf(run.status) },
      run.restore === null ? '–' : { text: run.restore.status, tone: toneOf(run.restore.status) },
      run.reason,
    ]),
  );
}

/** The steps in order; those that are done are ticked. Below them, what the job says of its changes. */
export function runbookText(
  voice: Voice,
  { steps, page }: { readonly steps: readonly Step[]; readonly page: string | null },
): string {
  const text = steps
    .map(({ title, commands, expect, done }, at) => {
      const head = voice.paint(`${done ? '✓' : `${at + 1}.`} ${title}`, done ? 'quiet' : 'strong');
      return `${head}\n${commands.map((command) => `     ${command}\n`).join('')}   ${expect}.\n`;
    })
    .join('\n');
  return page === null ? text : `${text}\n${page.trimEnd()}\n`;
}

function stateCell({ state }: Incident): { readonly text: string; readonly tone: Tone } {
  return { text: state, tone: STATES[state] };
}
