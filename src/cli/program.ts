import type { Command } from 'commander';
import type { App } from './app-port.js';
import { addAlerts } from './commands/alerts.js';
import { addApprovals } from './commands/approvals.js';
import { addAsOf } from './commands/asof.js';
import { addAudit } from './commands/audit.js';
import { addBuild } from './commands/build.js';
import { addCheck } from './commands/check.js';
import { addCompletion } from './commands/completion.js';
import { addDashboards } from './commands/dashboards.js';
import { addDatabase } from './commands/database.js';
import { addDev } from './commands/dev.js';
import { addDoctor } from './commands/doctor.js';
import { addEvents } from './commands/events.js';
import { addFlags } from './commands/flags.js';
import { addGuard } from './commands/guard.js';
import { addImpact } from './commands/impact.js';
import { addInit } from './commands/init.js';
import { addIncident } from './commands/incident.js';
import { addJob } from './commands/job.js';
import { addKill, addStop } from './commands/kill.js';
import { addLogin, addLogout } from './commands/login.js';
import { addMe } from './commands/me.js';
import { addMigrate } from './commands/migrate.js';
import { addNotifications } from './commands/notifications.js';
import { addOpen } from './commands/open.js';
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
import { addUninstall } from './commands/uninstall.js';
import { addUnit } from './commands/unit.js';
import { addWorker } from './commands/worker.js';
import { addWorkers } from './commands/workers.js';
import type { AddCommand } from './context.js';
import { createFrame } from './frame.js';
import type { Terminal } from './terminal.js';

/** In the order in which help lists them: as one meets them. */
const COMMANDS: readonly AddCommand[] = [
  addStart,
  addWorker,
  addStatus,
  addWorkers,
  addRun,
  addRuns,
  addImpact,
  addRestore,
  addAsOf,
  addUnit,
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
  addEvents,
  addDashboards,
  addJob,
  addNotifications,
  addDatabase,
  addOpen,
  addMe,
  addPeople,
  addLogin,
  addLogout,
  addTokens,
  addAudit,
  addInit,
  addCheck,
  addDev,
  addBuild,
  addMigrate,
  addUninstall,
  addDoctor,
  addCompletion,
];

/** The command line with every command; `brought` are those of jobs and of the demo. */
export function createProgram(app: App, io: Terminal, brought: readonly AddCommand[] = []): Command {
  return createFrame(app, io, [...COMMANDS, ...brought]);
}
