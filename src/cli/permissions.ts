import type { Command } from 'commander';
import type { Action } from '../access/roles.js';

/**
 * What each command takes. `process`: it acts as Portcullis itself; `anyone`: it needs no right. A command in `BY_ITSELF`
 * asks for more or less than this for some of its options, and checks that itself.
 */
export const COMMAND_RIGHTS = {
  start: 'process',
  worker: 'process',
  migrate: 'process',
  uninstall: 'process',
  replay: 'process',
  tour: 'manage-people',
  login: 'anyone',
  logout: 'anyone',
  init: 'anyone',
  check: 'anyone',
  dev: 'anyone',
  build: 'anyone',
  completion: 'anyone',
  'completion candidates': 'anyone',
  doctor: 'read',
  open: 'read',
  me: 'read',
  dashboards: 'read',
  status: 'read',
  run: 'run',
  runs: 'read',
  'run show': 'read',
  'runs show': 'read',
  impact: 'read',
  asof: 'read',
  unit: 'read',
  restore: 'restore',
  'flags apply': 'apply-policy',
  'flags diff': 'read',
  'flags alerts': 'anyone',
  'flags list': 'read',
  'flags set': 'set-flag',
  'flags history': 'read',
  'flags revert': 'set-flag',
  'flags explain': 'read',
  'guard backtest': 'read',
  'guard suggest': 'read',
  'guard accept': 'set-baseline',
  'guard rebaseline': 'set-baseline',
  'rollout start': 'start-rollout',
  'rollout status': 'read',
  'rollout simulate': 'read',
  'rollout approve': 'approve',
  'rollout pause': 'kill',
  'rollout resume': 'set-flag',
  'rollout abort': 'kill',
  'rollout promote': 'skip-bake',
  'break-glass request': 'break-glass',
  'break-glass list': 'read',
  'break-glass revoke': 'kill',
  kill: 'kill',
  stop: 'kill',
  rearm: 'request-rearm',
  approve: 'approve',
  reject: 'cancel',
  approvals: 'read',
  'incident list': 'read',
  'incident show': 'read',
  'incident runbook': 'read',
  'incident open': 'manage-incident',
  'incident include': 'manage-incident',
  'incident close': 'manage-incident',
  'incident export': 'read',
  workers: 'read',
  events: 'read',
  'alerts list': 'read',
  'alerts clear': 'manage-incident',
  'notifications list': 'read',
  'notifications retry': 'notify',
  'notifications test': 'notify',
  'notifications receivers': 'read',
  'database show': 'read',
  'database confirm': 'confirm-database',
  'job commands': 'read',
  'job do': 'import-directory',
  'directory import': 'import-directory',
  'directory export': 'read',
  'directory check': 'import-directory',
  'people add': 'manage-people',
  'people list': 'read',
  'people link': 'manage-people',
  'people remove': 'manage-people',
  'people unlink': 'manage-people',
  'tokens issue': 'manage-tokens',
  'tokens list': 'read',
  'tokens revoke': 'manage-tokens',
  'audit list': 'verify-audit',
  'audit verify': 'verify-audit',
  'audit export': 'verify-audit',
} as const satisfies Readonly<Record<string, Action | 'process' | 'anyone'>>;

/** `restore --dry-run` only looks; a lost admin token is replaced without one. */
export const BY_ITSELF: ReadonlySet<string> = new Set(['restore', 'tokens issue']);

/** `rollout start`. */
export function pathOf(command: Command): string {
  const above = command.parent;
  return above === null || above.parent === null ? command.name() : `${pathOf(above)} ${command.name()}`;
}

/** What whoever gives this command must be allowed to do, at least somewhere; undefined: nothing, or it checks itself. */
export function rightOf(command: Command): Action | undefined {
  const path = pathOf(command);
  if (BY_ITSELF.has(path)) return undefined;
  const right = (COMMAND_RIGHTS as Readonly<Record<string, Action | 'process' | 'anyone'>>)[path];
  return right === 'process' || right === 'anyone' ? undefined : right;
}
