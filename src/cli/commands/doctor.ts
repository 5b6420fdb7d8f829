import type { Command } from 'commander';
import type pg from 'pg';
import { messageOf, PortcullisError } from '../../kernel/errors.js';
import { refuseUnfit } from '../acting.js';
import { CHECKS, MACHINE_CHECKS, SET_UP_CHECKS } from '../checks/all.js';
import type { Check, Finding, Patient } from '../checks/check.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { leaf } from '../leaf.js';
import { printable, wrapTo } from '../display-width.js';
import { withProgress } from '../progress.js';
import type { Tone } from '../tone.js';
import { lockedOut } from '../../postgres/migrate.js';
import { countOf } from '../../kernel/words.js';

export function addDoctor(program: Command, context: Context): void {
  const command = leaf(
    program,
    'doctor',
    'Check this installation and print a hint for each problem. Exits with 1 when there is one.',
    ['portcullis doctor', 'portcullis doctor --json'],
  ).action(async () => {
    const voice = voiceOf(context, command);
    const findings = await withProgress(context.io.stderr, 'examining the installation', () =>
      examine(context),
    );
    const failed = findings.filter(({ mark }) => mark === 'fail').length;
    const warnings = findings.filter(({ mark }) => mark === 'warn').length;
    voice.result({ healthy: failed === 0, findings }, () => findingsText(voice, findings, failed, warnings));
    if (failed > 0) context.io.exitWith(1);
  });
}

/** What needs no database is looked at even where there is none to be had. */
async function examine({ app }: Context): Promise<Finding[]> {
  const findings = (await Promise.all(MACHINE_CHECKS.map((check) => made(check, app.settings)))).flat();
  const opened = await app.open('look').catch((error: unknown) => asFinding('database', error));
  if ('mark' in opened) return [...findings, opened];
  try {
    await refuseUnfit({ app }, opened);
    const owners = opened.databases.map(({ owner }) => owner);
    for (const check of SET_UP_CHECKS) findings.push(...(await made(check, opened, owners)));
    const platform = await app.platform(opened, true).catch((error: unknown) => asFinding('platform', error));
    if ('mark' in platform) return [...findings, platform];
    try {
      const patient: Patient = {
        settings: app.settings,
        installation: opened,
        workerContext: platform.workerContext,
        askResolvers: (name, signal) => platform.askResolvers(name, signal),
        flagSource: platform.flagSource(),
      };
      for (const check of CHECKS) findings.push(...(await made(check, patient, owners)));
    } finally {
      await platform.close();
    }
  } finally {
    await opened.close();
  }
  return findings;
}

/** A check that cannot be made is a finding too. */
async function made<Of>(check: Check<Of>, of: Of, owners: readonly pg.Pool[] = []): Promise<Finding[]> {
  try {
    return (await check.examine(of)).map((finding) => ({ check: check.name, ...finding }));
  } catch (error) {
    return [asFinding(check.name, await lockedOut(owners, error))];
  }
}

function asFinding(check: string, error: unknown): Finding {
  const hint = error instanceof PortcullisError ? error.hint : undefined;
  return { check, mark: 'fail', found: messageOf(error), ...(hint !== undefined && { hint }) };
}

const MARKS: Readonly<Record<Finding['mark'], { sign: string; tone: Tone }>> = {
  ok: { sign: '✓', tone: 'good' },
  fail: { sign: '✗', tone: 'bad' },
  warn: { sign: '!', tone: 'warning' },
};

function findingsText(voice: Voice, findings: readonly Finding[], failed: number, warnings: number): string {
  const { columns } = voice.tableOptions();
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, mark, found, hint }) => {
    const { sign, tone } = MARKS[mark];
    const indent = ' '.repeat(width + 4);
    const wrapped = (text: string): string[] =>
      text.split('\n').flatMap((line) => wrapTo(printable(line), columns - indent.length));
    const [first = '', ...more] = wrapped(found);
    const hints = hint === undefined ? [] : wrapped(`hint: ${hint}`);
    return [
      `${voice.paint(sign, tone)} ${check.padEnd(width)}  ${first}`,
      ...more.map((line) => indent + line),
      ...hints.map((line) => indent + voice.paint(line, 'strong')),
    ];
  });
  const verdict =
    failed > 0
      ? voice.paint(countOf(failed, 'problem'), 'bad')
      : voice.paint(warnings > 0 ? 'No problems' : 'No problems found', 'good');
  const besides = warnings > 0 ? `, ${countOf(warnings, 'warning')}` : '';
  return `${lines.join('\n')}\n\n${verdict}${besides}\n`;
}
