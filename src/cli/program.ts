import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { Action } from '../access/roles.js';
import type { App } from './app-port.js';
import { addAlerts } from './commands/alerts.js';
import { addApprovals } from './commands/approvals.js';
import { addAsOf } from './commands/asof.js';
import { addAudit } from './commands/audit.js';
import { addCompletion } from './commands/completion.js';
import { addDatabase } from './commands/database.js';
import { addDoctor } from './commands/doctor.js';
import { addFlags } from './commands/flags.js';
import { addGuard } from './commands/guard.js';
import { addImpact } from './commands/impact.js';
import { addIncident } from './commands/incident.js';
import { addKill, addStop } from './commands/kill.js';
import { addLogin, addLogout } from './commands/login.js';
import { addMigrate } from './commands/migrate.js';
import { addNotifications } from './commands/notifications.js';
import { addPeople } from './commands/people.js';
import { addBreakGlass } from './commands/break-glass.js';
import { addApprove, addRearm } from './commands/rearm.js';
import { addRollout } from './commands/rollout.js';
import { addRestore } from './commands/restore.js';
import { addRun } from './commands/run.js';
import { addRuns } from './commands/runs.js';
import { addStart } from './commands/start.js';
import { addStatus } from './commands/status.js';
import { addTokens } from './commands/tokens.js';
import { addWorker } from './commands/worker.js';
import type { AddCommand } from './context.js';
import { EXIT_MEANINGS } from './exit.js';
import { withCommonOptions } from './leaf.js';
import type { Server } from './credentials.js';
import { pathOf, rightOf } from './permissions.js';
import { serverFor } from './remote.js';
import type { Terminal } from './terminal.js';

/** In the order in which help lists them: as one meets them. */
const COMMANDS: readonly AddCommand[] = [
  addStart,
  addWorker,
  addStatus,
  addRun,
  addRuns,
  addImpact,
  addRestore,
  addAsOf,
  addFlags,
  addGuard,
  addRollout,
  addBreakGlass,
  addKill,
  addStop,
  addRearm,
  addApprove,
  addApprovals,
  addIncident,
  addAlerts,
  addNotifications,
  addDatabase,
  addPeople,
  addLogin,
  addLogout,
  addTokens,
  addAudit,
  addMigrate,
  addDoctor,
  addCompletion,
];

/**
 * The command line; `brought` are the commands of jobs and of the demo. `parseAsync` rejects with whatever went wrong, commander's own usage errors included:
 * `exitCodeOf` and `printError` of exit.ts know what to make of it. Results go to standard output, notes,
 * progress and errors to standard error.
 */
export function createProgram(app: App, io: Terminal, brought: readonly AddCommand[] = []): Command {
  const program = withCommonOptions(new Command('portcullis'), true)
    .description(
      'A scheduled job changes production data only behind a per-region flag, fenced and journaled.',
    )
    .version(version(), '-V, --version', 'show the version')
    // `flags set` has a --version of its own: options before a command are the program's, later ones are not.
    .enablePositionalOptions()
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ helpWidth: Math.min(100, io.stdout.columns) })
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // printError says it, in one place and in one form.
      outputError: () => undefined,
      getOutHelpWidth: () => Math.min(100, io.stdout.columns),
      getErrHelpWidth: () => Math.min(100, io.stderr.columns),
      getOutHasColors: () => io.colour,
      getErrHasColors: () => false,
    })
    .addHelpText('after', HELP_END);
  let right: Action | undefined;
  let server: Server | undefined;
  program.hook('preAction', async (_, command) => {
    right = rightOf(command);
    server = await serverFor(pathOf(command), app.settings);
  });
  for (const add of [...COMMANDS, ...brought])
    add(program, { app, io, right: () => right, server: () => server });
  return program;
}

const HELP_END = `
Exit codes: ${Object.entries(EXIT_MEANINGS)
  .map(([code, meaning]) => `${code} ${meaning}`)
  .join(', ')}.
Every command takes --json and --help.

Examples:
  $ portcullis start --sample
  $ portcullis status --watch
  $ portcullis run domain-claim --region eu-west-1 --dry-run
`;

/** The package's version. Both from `src/cli/` and from `dist/cli/` its description stands at the same place. */
function version(): string {
  const { version: text } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  return text;
}
