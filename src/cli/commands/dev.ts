import { lstat, readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Command } from 'commander';
import { messageOf } from '../../kernel/errors.js';
import { countOf } from '../../kernel/words.js';
import type { TriedJobs, TriedPlan } from '../app-port.js';
import { configOption } from '../config-option.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { interruptible } from '../interrupt.js';
import { leaf } from '../leaf.js';
import { differenceOfPlans, type PlanDifference } from '../plan-difference.js';
import { withProgress } from '../progress.js';
import { counts } from '../wording.js';

const LOOK_MS = 250;
/** How many changes of a plan are shown. */
const SHOWN = 12;
/** The most files that are watched. */
const MOST_FILES = 5_000;

export function addDev(program: Command, context: Context): void {
  const command = leaf(
    program,
    'dev',
    'Plan the jobs again on each save, and show what changed in their plans, until Ctrl-C.\n' +
      "Plans are made on a database of its own with the configuration file's development.schema; nothing else is touched.",
    ['portcullis dev', 'portcullis dev --json'],
  )
    .addOption(configOption())
    .action(async ({ config }: { config?: string }) => {
      const voice = voiceOf(context, command);
      await interruptible(context.io, (signal) => watch(context, voice, config, signal));
    });
}

async function watch(
  { app, io }: Context,
  voice: Voice,
  config: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const folder = config === undefined ? process.cwd() : dirname(resolve(config));
  let before: readonly TriedPlan[] | undefined;
  const stopped = (): boolean => signal.aborted;
  while (!stopped()) {
    const seen = await signatureOf(folder);
    try {
      const tried = await withProgress(io.stderr, 'planning the jobs', () =>
        app.authoring.tryJobsApart(config, signal),
      );
      const differences = differenceOfPlans(before, tried.plans);
      voice.result({ faults: tried.faults, plans: differences }, () => triedText(voice, tried, differences));
      // A plan that could not be made is compared with the last one that could.
      if (tried.faults.length === 0) before = tried.plans;
    } catch (error) {
      if (stopped()) return;
      // Nothing to be watched for: there is no configuration file.
      if (before === undefined && (error as { code?: unknown }).code === 'CONFIG_INVALID') throw error;
      voice.result({ error: messageOf(error) }, () => `${voice.paint(messageOf(error), 'bad')}\n`);
    }
    voice.note(`watching ${folder}; Ctrl-C ends`);
    await saved(folder, seen, signal);
  }
}

/** Resolves when files have changed, and are whole: an editor may write several, each in pieces. */
async function saved(folder: string, seen: string, signal: AbortSignal): Promise<void> {
  for (let last = seen; !signal.aborted;) {
    await setTimeout(LOOK_MS, undefined, { signal }).catch(() => undefined);
    const now = await signatureOf(folder);
    if (now !== seen && now === last) return;
    last = now;
  }
}

/** Changes with each file of the folder that is saved, made or removed; packages and hidden files do not count. */
async function signatureOf(folder: string): Promise<string> {
  const parts: string[] = [];
  const pending = [folder];
  for (let next = pending.pop(); next !== undefined && parts.length < MOST_FILES; next = pending.pop()) {
    for (const entry of await readdir(next, { withFileTypes: true }).catch(() => [])) {
      if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
      const path = join(next, entry.name);
      if (entry.isDirectory()) pending.push(path);
      else {
        const found = await lstat(path).catch(() => undefined);
        parts.push(`${path} ${found?.mtimeMs ?? 0} ${found?.size ?? 0}`);
      }
    }
  }
  return parts.sort().join('\n');
}

function triedText(
  voice: Voice,
  { faults, onSchema, file }: TriedJobs,
  plans: readonly PlanDifference[],
): string {
  return [
    ...faults.map(({ what, message, hint }) => {
      const more = hint === undefined || hint === '' ? '' : `  hint: ${hint}\n`;
      return `${voice.paint('✗', 'bad')} ${what}: ${message}\n${more}`;
    }),
    ...plans.map((plan) => planText(voice, plan)),
    ...(onSchema || faults.length > 0 ? [] : [`${file} names no development.schema to plan on\n`]),
  ].join('');
}

function planText(
  voice: Voice,
  { job, region, planned, first, added, removed, changed, same }: PlanDifference,
): string {
  const heading = `${voice.paint(`${job} in ${region}`, 'strong')}  ${counts(planned)}`;
  if (!first && added.length + removed.length + changed.length === 0)
    return `${heading}; the same ${countOf(same, 'change')}\n`;
  const lines = [
    ...added.map((change) => voice.paint(`  + ${change}`, 'good')),
    ...removed.map((change) => voice.paint(`  - ${change}`, 'bad')),
    ...changed.map((change) => `  ~ ${change}`),
  ];
  const more = lines.length > SHOWN ? [`  and ${countOf(lines.length - SHOWN, 'change')} more`] : [];
  return [heading, ...lines.slice(0, SHOWN), ...more].map((line) => `${line}\n`).join('');
}
