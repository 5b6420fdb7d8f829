import type { App } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { loadPolicies } from '../flags/policy-store.js';
import { openInstallation } from './installation.js';
import { openPlatform } from './platform.js';
import { replay } from './replay.js';
import { serve } from './serve.js';

/**
 * Wires everything; this folder is the only place that does. Nothing is opened, and the configuration is not
 * even read, before a command asks for it: `--help` works whatever the environment says.
 */
export function createApp(read: () => Config): App {
  let known: Config | undefined;
  const config = (): Config => (known ??= read());
  return {
    get settings() {
      return config();
    },
    open: async (options) => openInstallation(config(), options),
    platform: async (installation, quiet) => openPlatform(config(), installation, quiet),
    serve: async (installation, options) => serve(config(), installation, options),
    replay: async (size, options) => replay(config(), size, options),
    policies: async (installation) => {
      const loaded = await loadPolicies(installation.control);
      return loaded.flatMap((each) => (each.ok ? [each.policy] : []));
    },
  };
}
