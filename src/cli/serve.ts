import { nthSlot } from '../runs/slots.js';
import { refuseUnfit } from './acting.js';
import type { Installation, Service, Settings } from './app-port.js';
import { consoleUrl, signInLink } from './console-link.js';
import type { Context, Voice } from './context.js';
import { aborted, interruptible } from './interrupt.js';
import { regionsIn, requireRegion } from './names.js';
import { ProgressLine } from './progress.js';
import { RunLog } from './run-log.js';
import { tryNextText, whereObject, whereText } from './where-text.js';
import { time } from '../kernel/words.js';

export interface ServeCommand {
  /** Act as the control plane too. */
  readonly control: boolean;
  readonly sample: boolean;
  readonly http: boolean;
  /** Run every job at once before waiting for the schedule. */
  readonly runNow: boolean;
  readonly regions?: readonly string[];
  /** The configuration file, in place of the one in the working folder. */
  readonly config?: string | undefined;
}

/**
 * Opens the installation and serves it until Ctrl-C or SIGTERM, telling where everything is and what each run
 * did. With `--json` each thing is one object on a line: `started`, `run`, `waiting`, `stopping`, `stopped`.
 */
export async function serveUntilInterrupted(
  context: Context,
  voice: Voice,
  command: ServeCommand,
): Promise<void> {
  const { app, io } = context;
  await interruptible(io, async (signal) => {
    const progress = new ProgressLine(io.stderr, 'opening the database');
    let installation: Installation | undefined;
    let service: Service | undefined;
    const runs = new RunLog(io.stdout, voice, progress);
    try {
      installation = await app.open('serve', { config: command.config });
      await refuseUnfit(context, installation);
      if (command.regions !== undefined) await requireRegions(context, installation, command.regions);
      progress.say('starting');
      service = await app.serve(installation, {
        control: command.control,
        sample: command.sample,
        http: command.http,
        quiet: io.stderr.isTTY,
        ...(command.regions !== undefined && { regions: command.regions }),
        onRun: (report) => runs.hear(report),
        onProgress: (run, news) => runs.progress(run, news),
      });
      const opened = installation;
      const serving = service;
      const link = await consoleLink(app.settings, serving, voice);
      progress.above(() => {
        voice.result({ event: 'started', ...whereObject(opened, serving) }, () =>
          whereText(voice, opened, serving, link),
        );
      });
      if (command.runNow) await runs.first(serving, signal);
      else runs.begin(serving.served);
      progress.end();
      if (!signal.aborted) tellWaiting(context, voice, serving, await serving.now());
      await aborted(signal);
      voice.result({ event: 'stopping' }, () => 'stopping: handing over the runs under way\n');
    } finally {
      progress.end();
      await service?.stop();
      await installation?.close();
    }
    voice.result({ event: 'stopped' }, () => 'stopped\n');
  });
}

/** A link that signs in, for a person at a terminal of this machine; what is read by programs has none. */
async function consoleLink(settings: Settings, service: Service, voice: Voice): Promise<string | undefined> {
  const { httpUrl } = service;
  const url = httpUrl === undefined ? undefined : consoleUrl(settings, httpUrl);
  if (url === undefined) return undefined;
  const code = voice.json ? undefined : await service.signInCode();
  return code === undefined ? url : signInLink(url, code);
}

async function requireRegions(
  { app }: Context,
  installation: Installation,
  regions: readonly string[],
): Promise<void> {
  const known = regionsIn(await app.policies(installation));
  for (const region of regions) requireRegion(region, known);
}

function tellWaiting({ io }: Context, voice: Voice, service: Service, now: Date): void {
  const slots = service.served.map(({ policy }) => ({
    job: policy.job,
    nextSlot: nthSlot(policy.schedule, 1, now)?.toISOString() ?? null,
  }));
  voice.result({ event: 'waiting', jobs: slots }, () => {
    const lines = slots.map(({ job, nextSlot: at }) =>
      at === null ? `${job} has no next slot\n` : `next run of ${job} at ${time(at)}\n`,
    );
    return `\n${lines.join('')}\n${tryNextText(voice, service, io.program)}\n`;
  });
}
