import { resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { stringify } from 'yaml';
import { requireMay } from '../../access/roles.js';
import { breakGlassText } from '../../flags/admission.js';
import { alertRulesOf } from '../../flags/alert-rules.js';
import type { FlagSetView, FlagView, SourceView } from '../../flags/flag-desk.js';
import { listFlags } from '../../flags/flag-store.js';
import { parsePolicies, readPolicyTexts } from '../../flags/policy.js';
import { PortcullisError } from '../../kernel/errors.js';
import type { Installation } from '../app-port.js';
import { addFlagHistory } from './flag-history.js';
import { voiceOf, withLook, type Context, type Voice } from '../context.js';
import { flagStateText, sourceText } from '../flag-text.js';
import { reasonOption } from '../reason-option.js';
import { invokeAt, withInvoke, type Invoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { listUpTo, PAGE } from '../../client/client.js';
import { unknownName } from '../names.js';
import { diffsSummary, diffsText } from '../policy-text.js';
import { pairShares, parseShare, sharesText } from '../shares.js';
import { countOf, time } from '../../kernel/words.js';
import type { Variant } from '../../flags/variant.js';

export function addFlags(program: Command, context: Context): void {
  const flags = group(program, 'flags', 'Change what may run where: policies (files) and flags (state).');
  addApply(flags, context);
  addDiff(flags, context);
  addAlerts(flags, context);
  addList(flags, context);
  addSet(flags, context);
  addFlagHistory(flags, context, (voice, set) => setText(voice, set));
}

/** The policy files that are meant, as an operation takes them; they are read here, wherever they are put in force. */
async function policyFiles(
  { app: { settings } }: Context,
  folder: string | undefined,
): Promise<{ file: string; text: string }[]> {
  const path = folder === undefined ? settings.flagsFolder : resolve(folder);
  const files = await readPolicyTexts(path);
  if (files.length > 0) return files;
  throw new PortcullisError('FILE_UNREADABLE', `${path} has no policy file`, {
    hint: 'name a folder with the policy files (*.yaml) of your jobs, such as flags/',
    details: { folder: path },
  });
}

function addApply(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'apply [folder]',
    'Put the policy files of a folder in force, all or none; says first what that changes.',
    ['portcullis flags apply', 'portcullis flags apply ./flags --full'],
  ).option('--full', 'every setting that changes, as flags diff shows them; otherwise a summary');
  command.action(async (folder: string | undefined, { full = false }: { full?: boolean }) => {
    const voice = voiceOf(context, command);
    await withInvoke(context, 'change', async (invoke) => {
      const files = await policyFiles(context, folder);
      const { same, revision, policies } = await invoke('diffPolicies', { files });
      if (!voice.json) context.io.stdout.write((full ? diffsText : diffsSummary)(voice.paint, policies));
      const applied = same
        ? { changed: false, policies }
        : await invoke('applyPolicies', { files, ifRevision: revision });
      voice.result(applied, () =>
        applied.changed ? `applied ${countOf(files.length, 'policy', 'policies')}\n` : 'nothing to apply\n',
      );
    });
  });
}

function addDiff(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'diff [folder]',
    'Show what applying the policy files of a folder would change.\n' +
      'Exits with 0 when nothing would change, 1 when something would.',
    ['portcullis flags diff', 'portcullis flags diff ./flags'],
  ).action(async (folder: string | undefined) => {
    const voice = voiceOf(context, command);
    const { same, policies } = await withInvoke(context, 'look', async (invoke) =>
      invoke('diffPolicies', { files: await policyFiles(context, folder) }),
    );
    voice.result({ same, policies }, () => diffsText(voice.paint, policies));
    if (!same) context.io.exitWith(1);
  });
}

function addAlerts(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'alerts [folder]',
    'Print the Prometheus rules of the alerts that the policy files of a folder describe.',
    ['portcullis flags alerts > portcullis-jobs.rules.yml', 'portcullis flags alerts ./flags'],
  ).action(async (folder: string | undefined) => {
    const voice = voiceOf(context, command);
    const rules = alertRulesOf(parsePolicies(await policyFiles(context, folder)).map(({ policy }) => policy));
    voice.result(rules, () => stringify(rules, { lineWidth: 0 }));
  });
}

function addList(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'list [job]',
    'List flags as their source has them: state, shares, last change.',
    ['portcullis flags list', 'portcullis flags list domain-claim --json'],
  ).action(async (job: string | undefined) => {
    const voice = voiceOf(context, command);
    const server = context.server?.();
    if (server !== undefined) {
      const { flags, source } = await flagsOf(await invokeAt(server), job);
      voice.result({ flags, source }, () => sourceText(voice, source) + flagsText(voice, flags));
      return;
    }
    await withLook(context, async (installation) => {
      const desk = await context.app.flags(installation);
      try {
        const flags = await desk.list(job);
        if (flags.length === 0 && job !== undefined) await refuseUnknownJob(installation, job);
        const source = desk.source();
        voice.result({ flags, source }, () => sourceText(voice, source) + flagsText(voice, flags));
      } finally {
        await desk.close();
      }
    });
  });
}

/** Flags as the server's source has them. Throws JOB_UNKNOWN. */
async function flagsOf(
  invoke: Invoke,
  job: string | undefined,
): Promise<{ flags: FlagView[]; source: SourceView }> {
  const sources: SourceView[] = [];
  const { items } = await listUpTo(Infinity, async (request) => {
    const page = await invoke('listFlags', { job, ...request });
    sources.push(page.source);
    return page;
  });
  if (items.length === 0 && job !== undefined) {
    const jobs = (await invoke('listJobs', { limit: PAGE })).items.map(({ name }) => name);
    if (!jobs.includes(job)) throw unknownName('JOB_UNKNOWN', 'job', job, jobs);
  }
  return { flags: items.map(asSet), source: sources.at(-1) as SourceView };
}

/** What the server would answer a gate is not what the flag is. */
function asSet(flag: FlagView & Partial<Record<'open' | 'closedCode' | 'closedReason', unknown>>): FlagView {
  const shown = { ...flag };
  delete shown.open;
  delete shown.closedCode;
  delete shown.closedReason;
  return shown;
}

async function refuseUnknownJob(installation: Installation, job: string): Promise<void> {
  const jobs = [...new Set((await listFlags(installation.control)).map((flag) => flag.job))];
  if (jobs.includes(job)) return;
  throw unknownName('JOB_UNKNOWN', 'job', job, jobs);
}

interface SetOptions {
  readonly region?: string;
  readonly on?: true;
  readonly off?: true;
  readonly hold?: true;
  readonly version: readonly string[];
  readonly share: readonly number[];
  readonly reason: string;
}

const collected = (value: string, before: readonly string[]): readonly string[] => [...before, value];

function addSet(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'set <job>',
    'Switch flags on or off, or give versions their shares of units. In force within a second.\n' +
      'Versions stand in the order given: put the candidate first, so that its growing share keeps whom it had.',
    [
      'portcullis flags set domain-claim --region eu-west-1 --on --version installed --share 100% --reason "pilot went well"',
      'portcullis flags set domain-claim --version 1.1.0 --share 0.5% --version 1.0.0 --share 99.5% --reason "canary"',
      'portcullis flags set domain-claim --off --reason "too many claims"',
    ],
  )
    .option('-r, --region <region>', 'only in this region; without it, in every region of the policy')
    .addOption(new Option('--on', 'switch on').conflicts(['off', 'hold']))
    .addOption(new Option('--off', 'switch off').conflicts(['on', 'hold']))
    .addOption(
      new Option('--hold', 'on, but no version has a share: nothing runs').conflicts([
        'on',
        'off',
        'version',
      ]),
    )
    .addOption(
      new Option('--version <version>', 'a version: in full, its number (1.0.0), or installed; repeatable')
        .argParser(collected)
        .default([], 'as they are'),
    )
    .addOption(
      new Option(
        '--share <percentage>',
        'the share of the version before it, such as 25% or 0.1%; repeatable',
      )
        .argParser((value: string, before: readonly number[]) => [...before, parseShare(value)])
        .default([], 'as they are'),
    )
    .requiredOption('--reason <text>', 'why, for whoever reads the history', reasonOption)
    .action(async (job: string, options: SetOptions) => {
      const voice = voiceOf(context, command);
      const flags = await withInvoke(context, 'change', (invoke) => set(invoke, job, options));
      voice.result({ flags }, () => setText(voice, flags));
    });
}

/** Sets the flag of one region, which takes no other call; or of each that the policy has. */
async function set(invoke: Invoke, job: string, options: SetOptions): Promise<FlagSetView[]> {
  const named = options.version.length > 0 ? (await invoke('listJobs', { limit: PAGE })).items : [];
  const { enabled, variants } = changeOf(
    options,
    named.flatMap(({ name, version }) => (name === job ? [version] : [])),
  );
  const regions = options.region === undefined ? await allRegions(invoke, job) : [options.region];
  const flags: FlagSetView[] = [];
  for (const region of regions) {
    const set = await invoke('setFlag', {
      ...{ job, region, enabled, reason: options.reason },
      variants: variants?.map((each) => ({ ...each })),
    });
    flags.push(set);
  }
  return flags;
}

/** The regions of a job's policy, where every one may be set: not one is set before that is known. */
async function allRegions(invoke: Invoke, job: string): Promise<readonly string[]> {
  const { regions } = await invoke('getPolicy', { job });
  const { name, role, regions: bound } = await invoke('getMe', {});
  for (const region of regions) requireMay({ name, role, regions: bound }, 'set-flag', region);
  return regions;
}

/** What the options ask for. Throws FLAG_CHANGE_INVALID. */
function changeOf(
  options: SetOptions,
  installed: readonly string[],
): { enabled: boolean | undefined; variants: Variant[] | undefined } {
  const shares = pairShares(options.version, options.share, installed);
  if (
    options.on === undefined &&
    options.off === undefined &&
    options.hold === undefined &&
    shares.length === 0
  ) {
    throw new PortcullisError('FLAG_CHANGE_INVALID', 'nothing to change', {
      hint: 'give --on, --off, --hold, or --version with --share',
    });
  }
  const enabled =
    options.off === true ? false : options.on === true || options.hold === true ? true : undefined;
  const variants = options.hold === true ? [] : shares.length > 0 ? shares : undefined;
  return { enabled, variants };
}

/** What each flag was and is now. */
function setText(voice: Voice, flags: readonly FlagSetView[]): string {
  const changed = (before: string, after: string): string =>
    before === after ? after : `${before} → ${after}`;
  const table = voice.table(
    [{ title: 'flag' }, { title: 'state' }, { title: 'versions' }],
    flags.map((flag) => [
      flag.name,
      {
        text: changed(flagStateText(flag.before).text, flagStateText(flag).text),
        tone: flagStateText(flag).tone,
      },
      changed(sharesText(flag.before.variants) || 'none', sharesText(flag.variants) || 'none'),
    ]),
  );
  return table + beyondText(voice, flags);
}

const COLUMNS = [
  { title: 'flag' },
  { title: 'state' },
  { title: 'versions' },
  { title: 'revision', minor: true as const },
  { title: 'changed', below: 3 },
  { title: 'by', below: 2 },
  { title: 'reason', below: 4 },
];

export function flagsText(voice: Voice, flags: readonly FlagView[]): string {
  if (flags.length === 0) return 'No flags\n';
  const table = voice.table(
    COLUMNS,
    flags.map((flag) => [
      flag.name,
      flagStateText(flag),
      flag.malformed ?? (sharesText(flag.variants) || '–'),
      flag.revision,
      flag.changedAt === null ? '–' : time(flag.changedAt),
      flag.changedBy ?? '–',
      flag.reason ?? '–',
    ]),
  );
  return table + beyondText(voice, flags);
}

/** The break-glass in force; and the shares that are closed, and why. */
function beyondText(voice: Voice, flags: readonly FlagView[]): string {
  const closed = flags.flatMap(({ name, beyond }) =>
    beyond.map(({ reason }) => `${name}: ${reason}; the rest is closed\n`),
  );
  const beyond = flags.flatMap(({ name, breakGlass }) =>
    breakGlass.map((each) => `${name}: ${breakGlassText(each)}\n`),
  );
  const lines = [...beyond, ...closed];
  return lines.length === 0 ? '' : `\n${voice.paint(lines.join(''), 'warning')}`;
}
