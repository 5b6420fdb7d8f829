import type { Command } from 'commander';
import type { Approval } from '../../access/approvals.js';
import { time } from '../../kernel/words.js';
import { PortcullisError } from '../../kernel/errors.js';
import { flagsAt } from '../../flags/flags-elsewhere.js';
import { type RolloutView } from '../../rollout/rollout-view.js';
import { voiceOf, type Context, type Voice } from '../context.js';
import { withInvoke, type Invoke } from '../invoke.js';
import { group, leaf } from '../leaf.js';
import { rolloutText } from '../rollout-text.js';
import { simulationText } from '../simulation-text.js';
import { watch, watchOption } from '../watch.js';
import { reasonOption } from '../reason-option.js';
import { listOf } from '../../kernel/words.js';

export function addRollout(program: Command, context: Context): void {
  const rollout = group(
    program,
    'rollout',
    'Admit a new version by waves of regions, step by step, on evidence.',
  );
  addStart(rollout, context);
  addStatus(rollout, context);
  addSimulate(rollout, context);
  addApprove(rollout, context);
  addSteering(rollout, context, 'pause', 'Keep every share as it is until somebody resumes.', 'pauseRollout');
  addSteering(
    rollout,
    context,
    'resume',
    'Go on. Shares that were changed by hand are set again where the flag is on; one that is off stays off.',
    'resumeRollout',
  );
  addSteering(
    rollout,
    context,
    'abort',
    'Roll the version back to zero everywhere, at once.',
    'abortRollout',
  );
  addPromote(rollout, context);
}

function addStart(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'start <job>',
    'Start a rollout by the waves of the policy. A job has one at a time.\n' +
      'With --initial: admit the first version of a job at once, in regions where none was ever admitted.',
    [
      'portcullis rollout start domain-claim --version 1.1.0 --reason "claims follow consent"',
      'portcullis rollout start domain-claim --version installed --initial --reason "first version"',
    ],
  )
    .requiredOption(
      '--version <version>',
      'the version: in full, its number, a unique prefix of its digest, or installed',
    )
    .option('--initial', 'no waves: the first version, once for each job and region; gives no share')
    .option(
      '-r, --region <region>',
      'with --initial: only in this region; otherwise wherever it is the first',
    )
    .requiredOption('--reason <text>', 'why, for whoever approves it and reads the history', reasonOption)
    .action(async (job: string, { version, reason, initial = false, region }: StartOptions) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'change', async (invoke) => {
        if (initial) return startInitially(invoke, context, voice, { job, version, reason, region });
        if (region !== undefined) {
          throw new PortcullisError('USAGE_INVALID', '--region goes with --initial', {
            hint: 'a rollout goes to the regions of its waves: portcullis rollout simulate shows them',
          });
        }
        const view = await invoke('startRollout', { job, version, reason });
        voice.result(view, () => rolloutText(voice, view));
        voice.note('it moves while a control plane runs: portcullis start');
      });
    });
}

interface StartOptions {
  readonly version: string;
  readonly reason: string;
  readonly initial?: boolean;
  readonly region?: string | undefined;
}

async function startInitially(
  invoke: Invoke,
  context: Context,
  voice: Voice,
  { job, version, reason, region }: Omit<StartOptions, 'initial'> & { readonly job: string },
): Promise<void> {
  const regions = region === undefined ? undefined : [region];
  const admitted = await invoke('admitInitially', { job, version, reason, regions });
  voice.result(
    admitted,
    () => `${admitted.version} is admitted as the first version of ${job} in ${listOf(admitted.regions)}\n`,
  );
  const elsewhere = at(context);
  voice.note(
    elsewhere === undefined
      ? `it has no share yet: portcullis flags set ${job} --on --version ${admitted.version} --share 100% --reason "…"`
      : `give it its share in Unleash (${elsewhere})`,
  );
}

function addStatus(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'status <job>',
    'Show a rollout: what it waits for, and every wave and region with share, bake and rules.',
    ['portcullis rollout status domain-claim', 'portcullis rollout status domain-claim --watch'],
  )
    .addOption(watchOption())
    .action(async (job: string, { watch: watching = false }: { watch?: boolean }) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'look', async (invoke) => {
        const read = () => invoke('getRollout', { job });
        const text = (view: RolloutView): string => rolloutText(voice, view);
        if (watching && context.io.stdout.isTTY) return watch(context, voice, read, text);
        const view = await read();
        voice.result(view, () => text(view));
      });
    });
}

function addApprove(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'approve <job>',
    'Approve the wave that waits for a second person, on the evidence that rollout status shows.',
    ['portcullis rollout approve domain-claim'],
  ).action(async (job: string) => {
    const voice = voiceOf(context, command);
    await withInvoke(context, 'change', async (invoke) => {
      const approved = await invoke('approveWave', { job });
      voice.result(
        approved,
        () => `${approved.subject} may begin, approved by ${approved.decidedBy ?? ''}\n`,
      );
    });
  });
}

function addSimulate(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'simulate <job>',
    'Show the rollout on paper: when each step would start and end, whom it exposes, and the most that a faulty version could change.',
    ['portcullis rollout simulate domain-claim'],
  ).action(async (job: string) => {
    const voice = voiceOf(context, command);
    const simulation = await withInvoke(context, 'look', (invoke) => invoke('simulateRollout', { job }));
    voice.result(simulation, () => simulationText(voice, simulation));
  });
}

function addPromote(parent: Command, context: Context): void {
  const command = leaf(
    parent,
    'promote <job>',
    'Ask to skip the rest of the bakes under way; another person decides. Rules, windows and freezes count all the same.',
    [
      'portcullis rollout promote domain-claim --reason "a fix that cannot wait"',
      'portcullis rollout promote domain-claim --region eu-west-1 --reason "a fix that cannot wait"',
    ],
  )
    .option('-r, --region <region>', 'only the bake of this region; default: of every region that bakes')
    .requiredOption('--reason <text>', 'why, for whoever decides it and for the record', reasonOption)
    .action(async (job: string, { region, reason }: { region?: string; reason: string }) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'change', async (invoke) => {
        const asked = await invoke('promoteRollout', { job, region, reason });
        voice.result(asked, () => askedText(asked));
      });
    });
}

function askedText({ id, subject, expiresAt }: Approval): string {
  return `Requested, not skipped yet: ${subject}\nanother person decides until ${time(expiresAt)}:\n  portcullis approve ${id}\n  portcullis reject ${id}\n`;
}

function addSteering(
  parent: Command,
  context: Context,
  name: string,
  description: string,
  steer: 'pauseRollout' | 'resumeRollout' | 'abortRollout',
): void {
  const command = leaf(parent, `${name} <job>`, description, [
    `portcullis rollout ${name} domain-claim --reason "…"`,
  ])
    .requiredOption('--reason <text>', 'why, for the record', reasonOption)
    .action(async (job: string, { reason }: { reason: string }) => {
      const voice = voiceOf(context, command);
      await withInvoke(context, 'change', async (invoke) => {
        const view = await invoke(steer, { job, reason });
        voice.result(view, () => rolloutText(voice, view));
      });
    });
}

function at({ app }: Context): string | undefined {
  return flagsAt(app.settings.flagSource);
}
