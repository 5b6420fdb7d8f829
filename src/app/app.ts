import type { App } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { loadPolicies } from '../flags/policy-store.js';
import { openInstallation } from './installation.js';
import { openPlatform } from './platform.js';
import { serve } from './serve.js';

/** Wires everything; this folder is the only place that does. Nothing is opened before a command asks for it. */
export function createApp(config: Config): App {
  return {
    settings: config,
    open: () => openInstallation(config),
    platform: (installation, quiet) => openPlatform(config, installation, quiet),
    serve: (installation, options) => serve(config, installation, options),
    policies: async (installation) => {
      const loaded = await loadPolicies(installation.control);
      return loaded.flatMap((each) => (each.ok ? [each.policy] : []));
    },
  };
}
