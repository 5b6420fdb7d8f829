import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { actingPrincipal } from '../../cli/acting.js';
import type { Installation } from '../../cli/app-port.js';
import { voiceOf, withInstallation, type AddCommand, type Context, type Voice } from '../../cli/context.js';
import { interruptible } from '../../cli/interrupt.js';
import { invokingHere } from '../../cli/invoke.js';
import { leaf } from '../../cli/leaf.js';
import { PortcullisError } from '../../kernel/errors.js';
import { makeDemoPerson } from '../demo-person.js';
import { ACTS } from './script.js';
import { playTour, type Audience, type Told } from './tour.js';

/** The command `tour`. */
export const addTour: AddCommand = (program, context) => {
  const command = leaf(
    program,
    'tour',
    'Show in three minutes what Portcullis does, in the sample world and nowhere else. A region is turned on; a good ' +
      'version goes through all waves; a faulty one is stopped before it writes, another by logins that fail; then ' +
      'impact, restore, re-arm and the record. Each act is shown with its command. The second person is named demo. It ' +
      'takes a portcullis start --sample in another terminal, and puts policy and flags back at the end, also on Ctrl-C.',
    ['portcullis tour', 'portcullis tour --json'],
  ).action(async () => {
    const voice = voiceOf(context, command);
    voice.note('watch it in the console too: portcullis open, and /tour there');
    const told = await interruptible(context.io, (signal) =>
      withInstallation(context, (installation) => play(context, installation, voice, signal)).catch(
        (error: unknown) => {
          if (!signal.aborted) throw error;
          return undefined;
        },
      ),
    );
    if (told === undefined) {
      voice.note('interrupted; policy and flags are as they were before');
      context.io.exitWith(1);
      return;
    }
    const ms = told.reduce((sum, each) => sum + each.ms, 0);
    voice.result({ acts: told.map(jsonOf), ms }, () => closingText(voice, ms));
  });
};

function jsonOf({ act, commands, result, ms }: Told): object {
  return { act: act.id, title: act.title, commands, result, ms };
}

async function play(
  context: Context,
  installation: Installation,
  voice: Voice,
  signal: AbortSignal,
): Promise<readonly Told[]> {
  const by = await actingPrincipal(context, installation);
  if (by.person === undefined || by.role !== 'admin') {
    throw new PortcullisError('FORBIDDEN', `the tour acts as an admin, and ${by.name} is none`, {
      hint: 'start it where portcullis start --sample has its home folder, whose admin-token you may read',
      details: { principal: by.name, action: 'manage-people' },
    });
  }
  const platform = await context.app.platform(installation, true);
  try {
    const demo = await asDemo(context, installation);
    return await invokingHere(context, installation, (first) =>
      invokingHere(demo, installation, (second) =>
        playTour(
          { installation, platform, first, second, by: by.name, signal },
          voice.json ? SILENT : audienceOf(context, voice),
        ),
      ),
    );
  } finally {
    await platform.close();
  }
}

const nothing = (): void => undefined;
const SILENT: Audience = { begins: nothing, line: nothing, ends: nothing };

/** The same command line with the token of the sample world's second person. */
async function asDemo(context: Context, { control, home }: Installation): Promise<Context> {
  const file = join(home, 'demo-token');
  const read = (path: string): Promise<string> => readFile(path, 'utf8');
  const token = (await read(file).catch(async () => read(await makeDemoPerson(control, home)))).trim();
  const settings = { ...context.app.settings, token };
  return { ...context, app: { ...context.app, settings } };
}

function audienceOf({ io }: Context, voice: Voice): Audience {
  const { paint } = voice;
  const say = (text: string): void => io.stdout.write(voice.printable(text));
  return {
    begins: ({ act, number, commands }) => {
      say(`\n${paint(`${number}/${ACTS.length}  ${act.title}`, 'strong')}\n${act.text}\n`);
      for (const command of commands)
        if (!/\{\w+\}/.test(command)) say(`${paint(`$ ${command}`, 'quiet')}\n`);
    },
    line: (text) => say(`  ${paint('✓', 'good')} ${text}\n`),
    ends: ({ act, commands }) => {
      // Only now is it known which run or request they are about.
      for (const [at, command] of commands.entries())
        if (isLate(act.commands[at] ?? '')) say(`${paint(`$ ${command}`, 'quiet')}\n`);
    },
  };
}

/** Whether a command names what its own act brings about. */
const isLate = (command: string): boolean => /\{(stoppedRun|request)\}/.test(command);

function closingText(voice: Voice, ms: number): string {
  return `\n${voice.paint(`Over after ${Math.round(ms / 1_000)} s.`, 'strong')} Policy and flags are as before; runs, incidents and the record stay to be looked at:
  portcullis runs
  portcullis incident list
  portcullis audit list --action tour
`;
}
