import type { App } from '../cli/app-port.js';
import type { AddCommand } from '../cli/context.js';
import type { Config } from '../config.js';
import { replayCommand } from '../demo/command.js';
import { addDirectory } from '../jobs/directory/command.js';
import { loadPolicies } from '../flags/policy-store.js';
import { openInstallation } from './installation.js';

/**
 * Wires everything; this folder is the only place that does. Nothing is opened, and the configuration is not
 * even read, before a command asks for it: `--help` works whatever the environment says. What only some commands
 * need (HTTP, the flag source, the replay) is loaded when they do: `kill` is not to wait for a web server's code.
 */
export function createApp(read: () => Config): {
  readonly app: App;
  readonly commands: readonly AddCommand[];
} {
  let known: Config | undefined;
  const config = (): Config => (known ??= read());
  const app: App = {
    get settings() {
      return config();
    },
    open: async (purpose) => openInstallation(config(), purpose),
    platform: async (installation, quiet) => {
      const { openPlatform } = await import('./platform.js');
      return openPlatform(config(), installation, quiet);
    },
    flags: async (installation) => {
      const { openDesk } = await import('./flag-desk.js');
      return openDesk(config(), installation);
    },
    serve: async (installation, options) => {
      const { serve } = await import('./serve.js');
      return serve(config(), installation, options);
    },
    names: async (ms) => {
      const { readNames } = await import('./names.js');
      return readNames(config(), ms);
    },
    policies: async (installation) => {
      const loaded = await loadPolicies(installation.control);
      return loaded.flatMap((each) => (each.ok ? [each.policy] : []));
    },
  };
  const commands = [
    addDirectory,
    replayCommand(async (size, options) => {
      const { replay } = await import('./replay.js');
      return replay(config(), size, options);
    }),
  ];
  return { app, commands };
}
