import type { COMMAND_RIGHTS } from '../../../src/cli/permissions.js';
import type { HERE_ALONE } from '../../../src/cli/remote.js';
import type { OperationName } from '../../../src/operations/list.js';

/** The commands that are no operation, and why; those of HERE_ALONE say it there. */
export const NO_OPERATION = {
  logout: 'it forgets what login kept on this machine',
  completion: 'it prints a script for a shell',
  'completion candidates': 'a shell asks it for names',
} as const;

type Without = keyof typeof NO_OPERATION | keyof typeof HERE_ALONE;

/** The operations of each command, first the one whose permission it takes. */
export const OPERATIONS_OF: Readonly<
  Record<Exclude<keyof typeof COMMAND_RIGHTS, Without>, readonly [OperationName, ...OperationName[]]>
> = {
  login: ['login', 'listJobs'],
  open: ['createSignInCode', 'getHealth'],
  me: ['getMe'],
  status: ['getStatus'],
  run: ['startRun', 'getRun', 'listRunChanges'],
  restore: ['restoreRun', 'restoreIncident', 'previewRestore', 'exportConflicts', 'getRun', 'getIncident'],
  runs: ['listRuns', 'listMissedRuns'],
  'run show': ['getRun', 'listRunVerdicts', 'listRunLanes', 'listRunChanges', 'exportRunChanges'],
  'runs show': ['getRun', 'listRunVerdicts', 'listRunLanes', 'listRunChanges', 'exportRunChanges'],
  impact: ['getRunImpact', 'exportRunUnits', 'exportIncidentUnits', 'getRun', 'getIncident'],
  asof: ['getAsOf'],
  'flags apply': ['applyPolicies', 'diffPolicies'],
  'flags diff': ['diffPolicies'],
  'flags list': ['listFlags', 'listJobs'],
  'flags history': ['listFlagChanges'],
  'flags revert': ['revertFlag'],
  'flags explain': ['explainFlag'],
  workers: ['listWorkers'],
  'flags set': ['setFlag', 'listFlags', 'listJobs'],
  doctor: ['examineInstallation'],
  events: ['listEvents'],
  'guard backtest': ['backtestRule'],
  'guard suggest': ['suggestRules'],
  'guard accept': ['acceptRun'],
  'guard rebaseline': ['rebaseline'],
  'rollout start': ['startRollout', 'admitInitially'],
  'rollout status': ['getRollout'],
  'rollout simulate': ['simulateRollout'],
  'rollout approve': ['approveWave'],
  'rollout pause': ['pauseRollout'],
  'rollout resume': ['resumeRollout'],
  'rollout abort': ['abortRollout'],
  'rollout promote': ['promoteRollout'],
  'break-glass request': ['requestBreakGlass'],
  'break-glass list': ['listBreakGlass'],
  'break-glass revoke': ['revokeBreakGlass'],
  kill: ['killJob', 'getHealth'],
  stop: ['stopEverything', 'getHealth'],
  rearm: ['requestRearm'],
  approve: ['approve', 'approveAlone'],
  reject: ['reject'],
  approvals: ['listApprovals'],
  'incident list': ['listIncidents'],
  'incident show': ['getIncident', 'getIncidentTimeline'],
  'incident runbook': ['getIncidentRunbook'],
  'incident open': ['openIncident'],
  'incident include': ['includeRun'],
  'incident close': ['closeIncident'],
  'incident export': ['getIncidentPostMortem', 'getIncidentStatusUpdates'],
  'alerts list': ['listAlerts'],
  'alerts clear': ['clearAlert'],
  'notifications list': ['listNotifications'],
  'notifications retry': ['retryNotification'],
  'notifications test': ['testNotification'],
  'database show': ['listDatabases'],
  'database confirm': ['confirmDatabase'],
  'people add': ['addPerson'],
  'people list': ['listPeople'],
  'people remove': ['removePerson', 'getMe'],
  'tokens issue': ['issueToken'],
  'tokens list': ['listTokens'],
  'tokens revoke': ['revokeToken', 'getMe'],
  'audit list': ['listAudit'],
  'audit verify': ['verifyAudit'],
  'audit export': ['exportAudit'],
};

/** The operations that no command has, and why. */
export const NO_COMMAND: Partial<Readonly<Record<OperationName, string>>> = {
  getMetrics: 'for Prometheus',
  getReadiness: 'for whoever runs the process',
  getOpenApi: 'for programs',
  followEvents: 'events --follow shows the same, from listEvents',
  receiveAlerts: 'for Alertmanager',
  reportOutcomes: 'for products',
  getOverview: 'status shows the same at more length',
  listGates: 'status shows gates',
  listPolicies: 'flags diff shows them beside their files',
  getPolicy: 'flags diff shows it beside its file',
  listVersions: 'status shows versions with a share',
  listRollouts: 'rollout status shows one',
};
