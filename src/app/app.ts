import type { App } from '../cli/app-port.js';
import type { AddCommand } from '../cli/context.js';
import type { Config } from '../config.js';

/**
 * Wires everything; this folder is the only place that does. Nothing is opened, and the configuration is not
 * even read, before a command asks for it: `--help` works whatever the environment says. What only some commands
 * need (HTTP, the flag source, the replay) is loaded when they do: `kill` is not to wait for a web server's code.
 */
export function createApp(read: () => Config): {
  readonly app: App;
  /** The commands of jobs and of the demo. */
  readonly commands: () => Promise<readonly AddCommand[]>;
} {
  let known: Config | undefined;
  const config = (): Config => (known ??= read());
  const app: App = {
    get settings() {
      return config();
    },
    open: async (purpose, opening) => {
      const { openInstallation } = await import('./installation.js');
      return openInstallation(config(), purpose, opening);
    },
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
    examine: async (installation) => {
      const { examineHere } = await import('./doctor.js');
      return examineHere(config(), installation);
    },
    names: async (ms) => {
      const { readNames } = await import('./names.js');
      return readNames(config(), ms);
    },
    authoring: {
      init: async (order) => {
        const { initProject } = await import('./init-project.js');
        return initProject(config(), order);
      },
      tryJobs: async (file) => {
        const { tryJobs } = await import('./try-jobs.js');
        return tryJobs(config(), file);
      },
      tryJobsApart: async (file, signal) => {
        const { tryJobsApart } = await import('./try-jobs-apart.js');
        return tryJobsApart(file, signal);
      },
      build: async (file, out) => {
        const { buildJobs } = await import('./build-jobs.js');
        return buildJobs(config(), file, out);
      },
    },
    policies: async (installation) => {
      const { policiesInForce } = await import('../flags/policy-store.js');
      return policiesInForce(installation.control);
    },
  };
  const commands = async (): Promise<readonly AddCommand[]> => {
    const { addDirectory } = await import('../jobs/directory/command.js');
    const { replayCommand } = await import('../demo/command.js');
    const { addTour } = await import('../demo/tour/command.js');
    const replaying = replayCommand(async (size, options) => {
      const { replay } = await import('./replay.js');
      return replay(config(), size, options);
    });
    return [addDirectory, replaying, addTour];
  };
  return { app, commands };
}
