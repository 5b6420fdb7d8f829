import type { App } from '../cli/app-port.js';
import { addKill, addStop } from '../cli/commands/kill.js';
import { createFrame } from '../cli/frame.js';
import { readConfig, type Config } from '../config.js';
import { carryOut, type Env } from './carry-out.js';
import { openInstallation } from './installation.js';

/**
 * The command line of `kill` and `stop`, and of nothing else: it is bundled by itself (bundle.js), so that whoever stops
 * something does not wait for what all other commands need.
 */
export async function commandLine(argv: readonly string[], env: Env): Promise<void> {
  await carryOut(argv, env, (io) => {
    let known: Config | undefined;
    const config = (): Config => (known ??= readConfig(env));
    const app: Pick<App, 'settings' | 'open'> = {
      get settings() {
        return config();
      },
      open: (purpose, opening) => openInstallation(config(), purpose, opening),
    };
    return createFrame(app, io, [addKill, addStop]);
  });
}
