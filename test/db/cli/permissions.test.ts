import { describe, expect, test } from '@jest/globals';
import type { Command } from 'commander';
import { MAY_DO, ROLES, type Standing } from '../../../src/access/roles.js';
import { BY_ITSELF, COMMAND_RIGHTS, pathOf } from '../../../src/cli/permissions.js';
import { createProgram } from '../../../src/cli/program.js';
import { FakeApp } from '../../unit/cli/fake-app.js';
import { FakeTerminal } from '../../unit/cli/fake-terminal.js';
import { testDatabase } from '../../support/database.js';
import { databaseCli, type As } from '../../support/database-cli.js';
import { temporaryFolder } from '../../support/portcullis.js';

const { owner } = await testDatabase();
const { run, issued } = await databaseCli(owner);

await owner.query(
  `insert into portcullis_control.flag (job, region, reason, changed_by)
   values ('sweep', 'eu-west-1', 'test', 'test'), ('sweep', 'us-east-1', 'test', 'test')`,
);

/** Every command that does something. */
function leaves(command: Command): Command[] {
  const below = command.commands.flatMap(leaves);
  return below.length === 0 || command.parent?.parent === null ? [command, ...below] : below;
}
const program = createProgram(new FakeApp(), new FakeTerminal(), new FakeApp().commands);
const paths = program.commands.flatMap(leaves).flatMap((command) => {
  const acts = (command as unknown as { _actionHandler: unknown })._actionHandler !== null;
  return acts ? [[pathOf(command), command] as const] : [];
});

const VALUES: Readonly<Record<string, string>> = {
  '--at': '2026-03-01T09:30:00Z',
  '--version': '1.0.0_9f3c2a1b',
  '--region': 'eu-west-1',
  '--role': 'viewer',
  '--rule': 'count',
  '--share': '50%',
  '--for': '6h',
  '--to': '1',
};

const ARGUMENTS: Readonly<Record<string, string>> = {
  job: 'sweep',
  folder: await temporaryFolder(),
  domain: 'acme.com',
};

/** What a command needs besides. */
const EXTRA: Readonly<Record<string, readonly string[]>> = {
  run: ['--region', 'eu-west-1'],
  rearm: ['--region', 'eu-west-1'],
  'incident include': ['abcdef'],
  'guard backtest': ['--job', 'sweep', '--region', 'eu-west-1'],
  'incident open': ['--region', 'eu-west-1'],
};

/** The command with its arguments and what it cannot do without. */
function lineOf(path: string, command: Command): string[] {
  const given = command.registeredArguments
    .filter(({ required }) => required)
    .map((argument) => ARGUMENTS[argument.name()] ?? 'x');
  const options = command.options
    .filter(({ mandatory }) => mandatory)
    .flatMap(({ long, required }) => [long ?? '', ...(required ? [VALUES[long ?? ''] ?? 'why'] : [])]);
  const extra = EXTRA[path] ?? [];
  return [...path.split(' '), ...given, ...options, ...extra];
}

test('every command has its right in the table, and the table has no other', () => {
  expect(paths.map(([path]) => path).sort()).toEqual(Object.keys(COMMAND_RIGHTS).sort());
});

describe.each([...ROLES, 'local'] as const)('a %s', (role) => {
  test('may give the commands that the table says, and no others', async () => {
    const as: As = role === 'local' ? {} : await issued({ name: `a-${role}`, role });
    for (const [path, command] of paths) {
      const right = COMMAND_RIGHTS[path as keyof typeof COMMAND_RIGHTS];
      if (right === 'process' || right === 'anyone' || BY_ITSELF.has(path)) continue;
      const { err } = await run(as, ...lineOf(path, command));
      const allowed = (MAY_DO[right] as readonly Standing[]).includes(role);
      expect([path, err.includes('error FORBIDDEN'), err.includes('unknown option')]).toEqual([
        path,
        !allowed && right !== 'cancel',
        false,
      ]);
    }
  });
});

test('a token that is not valid fails every command that opens a database', async () => {
  for (const [path, command] of paths) {
    // `open` opens none where no server answers, as here.
    if (['migrate', 'logout', 'open', 'completion', 'completion candidates'].includes(path)) continue;
    // They work on files, and on a database of their own.
    if (['flags alerts', 'init', 'check', 'dev', 'build'].includes(path)) continue;
    const { exit, err, out } = await run({ token: 'pcl_bad', typed: ['code'] }, ...lineOf(path, command));
    expect([path, exit, err.includes('TOKEN_REFUSED'), out]).toEqual([path, 4, true, '']);
  }
});

test('restore only looks with --dry-run, and tokens are issued by an admin', async () => {
  const viewer = await issued({ name: 'vera', role: 'viewer' });
  expect((await run(viewer, 'restore', 'abcdef', '--dry-run')).err).toContain('RUN_UNKNOWN');
  expect((await run(viewer, 'tokens', 'issue', 'x', '--role', 'viewer', '--machine')).err).toContain(
    'FORBIDDEN',
  );
});
