import { formatDurationMs } from '../kernel/duration.js';
import { countOf, number, time, unitsOf, type UnitLabel } from '../kernel/words.js';
import type { Assessment } from './assess-incident.js';
import { causeOf, closedByTrips, hasDamage, type Incident } from './incident.js';
import { measuresOf } from './measures.js';
import { runbookOf } from './runbook.js';
import { SEVERITIES } from './severity.js';
import { statusUpdatesOf } from './status-updates.js';
import type { Moment } from './timeline.js';
import { uncheckedText } from './unchecked-steps.js';
import { breakGlassLine } from '../flags/browse-break-glass.js';

/**
 * A draft of the post-mortem in Markdown: everything that is on record, in the order in which a reader asks for
 * it, and a place for what only people can know. Times are UTC.
 */
export function postMortemOf(assessment: Assessment, moments: readonly Moment[]): string {
  const { incident, impact } = assessment;
  const parts = [
    `# ${escaped(incident.title)}`,
    facts(assessment),
    `## Summary\n\n${summary(assessment)}`,
    `## Figures\n\n${figures(incident, impact.firstAppliedAt)}`,
    `## Impact\n\n${impactTable(assessment)}`,
    `## Detection\n\n${detection(incident)}`,
    `## Timeline (UTC)\n\n${table(
      ['when', 'what', 'who'],
      moments.map(({ at, what, who }) => [time(at), what, who ?? '']),
    )}`,
    `## Root cause\n\n${incident.conclusion === null ? '_To be written: what was wrong, and why nothing before production found it._' : escaped(incident.conclusion)}`,
    `## Remedies\n\n${remedies(assessment)}`,
    ...statusPage(assessment),
  ];
  return `${parts.join('\n\n')}\n`;
}

function statusPage(assessment: Assessment): string[] {
  const updates = statusUpdatesOf(assessment);
  if (updates.length === 0) return [];
  const texts = updates.map(({ phase, at, text }) => `**${phase}** – ${time(at)}\n\n${text}`);
  return [`## Status page\n\n${texts.join('\n\n')}`];
}

function facts({ incident, unchecked, breakGlass }: Assessment): string {
  const { severity } = incident;
  const meaning = SEVERITIES.find((line) => line.severity === severity)?.meaning;
  return table(
    ['incident', incident.id],
    [
      ['job', incident.job],
      ['version', incident.version ?? 'not known'],
      ['regions', incident.regions.map(({ region }) => region).join(', ')],
      ['severity', severity === null ? 'not assessed' : `${severity}: ${meaning ?? ''}`],
      ['state', incident.falseAlarm ? `${incident.state}, a false alarm` : incident.state],
      [
        'opened',
        `${time(incident.openedAt)} by ${incident.openedBy} (${incident.cause}${incident.drill ? ', a drill' : ''})`,
      ],
      ['why', causeOf(incident)],
      ...unchecked.map((each) => ['not checked', uncheckedText(each)]),
      ...breakGlass.map((each) => ['break-glass', breakGlassLine(each)]),
      ...closedByTrips(incident).map(({ region, closed, why }) => [
        'closed',
        `${closed === 'candidate' ? `${incident.version ?? ''} alone in ${region}, its gate stayed open` : `the gate of ${region}`}: ${why}`,
      ]),
    ],
  );
}

function summary(assessment: Assessment): string {
  return `${whatHappened(assessment)}${notChecked(assessment)}${underBreakGlass(assessment)}`;
}

/** A reader of the summary alone must learn it. */
function notChecked({ unchecked }: Assessment): string {
  if (unchecked.length === 0) return '';
  const steps = unchecked.map((each) => escaped(uncheckedText(each))).join('; ');
  return `\n\n**Nobody checked ${countOf(unchecked.length, 'step')} of its rollout**: ${steps}.`;
}

function underBreakGlass({ breakGlass }: Assessment): string {
  if (breakGlass.length === 0) return '';
  const runs = breakGlass.reduce((sum, each) => sum + each.runs.length, 0);
  const lines = breakGlass.map((each) => escaped(breakGlassLine(each))).join('; ');
  if (runs === 0)
    return `\n\n**Break-glass let it act beyond what a rollout had admitted**; no run is known to rest on it: ${lines}.`;
  return `\n\n**It acted beyond what a rollout had admitted, by break-glass** (${countOf(runs, 'run')}): ${lines}.`;
}

function whatHappened({ incident, impact, unitLabel, silent }: Assessment): string {
  const { job, version, state } = incident;
  const who = version === null ? job : `${job} ${version}`;
  const where = incident.regions.map(({ region }) => region).join(', ');
  if (!hasDamage(incident)) return undamaged(incident, who, where);
  const changed =
    impact.rows === 0
      ? `It was stopped before it changed a row.`
      : `${countOf(impact.runs, 'run')} changed ${countOf(impact.rows, 'row')} of ${unitsOf(impact.units, unitLabel)}${escaped(cascadedText(impact))}.`;
  const back =
    impact.rows === 0
      ? ''
      : ` ${number(impact.restored)} ${impact.restored === 1 ? 'is' : 'are'} put back; ${number(impact.restoreConflicts)} changed since the run and ${impact.restoreConflicts === 1 ? 'was' : 'were'} skipped.`;
  const unknown =
    silent.length === 0
      ? ''
      : `\n\n**Not complete**: ${silent.map(({ region, reason }) => `${region} could not be asked (${escaped(reason)})`).join('; ')}.`;
  return `${escaped(who)} went wrong in ${where}. ${changed}${back} The incident is ${state}.${unknown}`;
}

/** ` (and 2,625 rows of shop.event that went with them)`; nothing where nothing did. */
export function cascadedText({ byCascade }: Pick<Assessment['impact'], 'byCascade'>): string {
  if (byCascade.length === 0) return '';
  const each = byCascade.map(({ table, rows }) => `${countOf(rows, 'row')} of ${table}`);
  return ` (and ${each.join(', ')} that went with them)`;
}

function undamaged({ drill, cause, openedBy, state }: Incident, who: string, where: string): string {
  const what = cause === 'kill' ? `${who} was killed in ${where} by ${openedBy}` : `${who} in ${where}`;
  const damage = drill ? 'It was a drill.' : 'No damage has been named.';
  return `${escaped(what)}. ${damage} The incident is ${state}.`;
}

function figures(incident: Incident, firstAppliedAt: string | null): string {
  const { detectMs, stopMs, restoreMs } = measuresOf(incident, firstAppliedAt);
  const text = (ms: number | null, none: string): string => (ms === null ? none : formatDurationMs(ms));
  const unharmed = firstAppliedAt === null ? 'before the first change' : 'not yet';
  return table(
    ['from → to', 'took'],
    [
      ['time to detect: first bad change → noticed', text(detectMs, unharmed)],
      ['time to stop: first bad change → no change commits any more', text(stopMs, unharmed)],
      [
        'time to restore: stopped → everything put back',
        text(restoreMs, firstAppliedAt === null ? 'nothing to restore' : 'not yet'),
      ],
    ],
  );
}

function impactTable({ incident, impact, unitLabel }: Assessment): string {
  if (!hasDamage(incident)) return 'No damage has been named.';
  if (impact.rows === 0) return 'No row was changed.';
  const line = (name: string, each: Omit<Assessment['impact'], 'regions'>): string[] => [
    name,
    number(each.runs),
    number(each.units),
    number(each.rows),
    each.byKind.map(({ kind, resource, rows }) => `${kind} ${resource} ${number(rows)}`).join(', '),
    number(each.restored),
    number(each.restoreConflicts),
  ];
  const byRegion = table(
    ['region', 'runs', unitLabel.many, 'rows', 'by kind', 'put back', 'skipped'],
    [...impact.regions.map((each) => line(each.region, each)), line('**all**', impact)],
  );
  return `${byRegion}${productTable(impact, unitLabel)}`;
}

/** A row that is used in two products stands in both lines, so they don't add up. */
function productTable({ byProduct }: Assessment['impact'], { many }: UnitLabel): string {
  if (byProduct === null) return '\n\nWhich products these are used in is not known.';
  if (byProduct.length === 0) return '\n\nThese are used in no product.';
  return `\n\n${table(
    ['product', 'rows used in it', many],
    byProduct.map(({ product, rows, units }) => [product, number(rows), number(units)]),
  )}`;
}

function detection({ evidence }: Incident): string {
  return evidence
    .map(({ at, by, cause, title, regions, facts: known }) => {
      const told = `- ${time(at)}, ${cause} by ${by} in ${regions.join(', ')}: ${escaped(title)}`;
      const lines = Object.entries(known).map(
        ([name, value]) => `  - ${escaped(name)}: \`${JSON.stringify(value).replaceAll('`', "'")}\``,
      );
      return [told, ...lines].join('\n');
    })
    .join('\n');
}

function remedies(assessment: Assessment): string {
  const open = runbookOf(assessment).filter(({ done }) => !done);
  const steps = open.map(
    ({ title }) => `- [ ] ${title} (\`portcullis incident runbook ${assessment.incident.id}\`)`,
  );
  return [
    ...steps,
    '- [ ] _To be written: a rule in the policy that would have stopped it earlier, and a backtest of it._',
    '- [ ] _To be written: a test of the job that fails on the faulty version._',
  ].join('\n');
}

/** A table of Markdown. No cell breaks it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escaped).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Text as it is meant, on one line, in Markdown that somebody else's words may not take apart. */
function escaped(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').replaceAll('<', '&lt;');
}
