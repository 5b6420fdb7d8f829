import { describe, expect, test } from '@jest/globals';
import type { Command } from 'commander';
import { createProgram } from '../../../src/cli/program.js';
import { FakeApp } from './fake-app.js';
import { FakeTerminal } from './fake-terminal.js';
import { runProgram } from './run-program.js';

async function run(...args: string[]): Promise<{ exit: number; out: string; err: string; app: FakeApp }> {
  const app = new FakeApp();
  return { ...(await runProgram(app, args)), app };
}

describe('a faulty command line', () => {
  test.each([
    [['stauts'], "unknown command 'stauts'\n  hint: did you mean status?"],
    [['runs', '--regoin', 'x'], "unknown option '--regoin'\n  hint: did you mean --region?"],
    [['flags', 'lst'], "unknown command 'lst'\n  hint: did you mean list?"],
    [['runs', '--status', 'heldd'], 'Allowed choices are planning, applying, succeeded'],
    [['runs', '--limit', '0'], 'A limit is a whole number from 1 to 10000'],
    [['runs', '--limit', '1e3'], 'A limit is a whole number from 1 to 10000'],
    [['run'], "missing required argument 'job'"],
    [['run', 'sweep'], 'portcullis run sweep --region REGION'],
    [['run', 'show'], "missing required argument 'id'"],
    [
      ['run', 'show', 'abcd', '--state', 'gone'],
      'Allowed choices are planned, applied, conflict, not-applied',
    ],
    [['worker', '--regions'], "option '-r, --regions <regions>' argument missing"],
    [['worker', '--regions', 'eu-west-1,,'], 'Regions are names separated by commas'],
    [['flags', 'set', 'sweep', '--on'], "required option '--reason <text>' not specified"],
    [
      ['flags', 'set', 'sweep', '--on', '--off', '--reason', 'x'],
      "option '--on' cannot be used with option '--off'",
    ],
    [
      ['flags', 'set', 'sweep', '--hold', '--version', '1.0.0', '--reason', 'x'],
      "cannot be used with option '--version",
    ],
    [
      ['flags', 'set', 'sweep', '--share', '12', '--reason', 'x'],
      'A share is a percentage from 0.1% to 100%',
    ],
    [['doctor', 'now'], 'too many arguments'],
  ])('%j exits with 2, says what is wrong, and opens nothing', async (args, message) => {
    const { exit, out, err, app } = await run(...args);
    expect(exit).toBe(2);
    expect(err).toContain(message);
    expect(err).toMatch(/^error USAGE_INVALID: /);
    expect(out).toBe('');
    expect(app.happened).toEqual([]);
  });

  test('is one JSON object with --json, wherever that stands', async () => {
    const { exit, err } = await run('runs', '--json', '--limit', 'many');
    expect(exit).toBe(2);
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'USAGE_INVALID' } });
  });

  test('without a command, help is shown and the exit code is 2', async () => {
    const { exit, err } = await run();
    expect(exit).toBe(2);
    expect(err).toContain('Usage: portcullis');
    expect(err).toContain('a command is missing');
  });
});

describe('names', () => {
  // Which anybody may, also without a token.
  const backtest = ['guard', 'backtest', '--rule', 'count'];

  test('of a job that is not there: the nearest is named', async () => {
    const { exit, err, app } = await run(...backtest, '--job', 'sweap', '--region', 'eu-west-1');
    expect(exit).toBe(2);
    expect(err).toBe('error JOB_UNKNOWN: there is no job sweap\n  hint: did you mean sweep?\n');
    expect(app.happened).toEqual(['open', 'close']);
  });

  test('of a region that is not there: the nearest is named, or all where none is near', async () => {
    const near = await run('worker', '--regions', 'eu-wset-1');
    expect(near.exit).toBe(2);
    expect(near.err).toContain('hint: did you mean eu-west-1?');
    const far = await run('worker', '--regions', 'mars', '--json');
    expect(far.exit).toBe(2);
    expect(JSON.parse(far.err)).toMatchObject({
      error: { code: 'REGION_UNKNOWN', details: { region: 'mars', known: ['eu-west-1', 'us-east-1'] } },
    });
    expect(far.app.happened).toEqual(['open', 'close']);
  });
});

describe('help', () => {
  const shown = (command: Command): Command[] => {
    const visible = command.createHelp().visibleCommands(command);
    return command.commands.filter((each) => visible.includes(each));
  };
  const leaves = (command: Command): Command[] =>
    shown(command).flatMap((each) => (shown(each).length > 0 ? leaves(each) : [each]));
  const path = (command: Command): string[] =>
    command.parent ? [...path(command.parent), command.name()] : [];
  const commands = leaves(createProgram(new FakeApp(), new FakeTerminal(), new FakeApp().commands)).map(path);
  test.each(commands.map((each) => [each.join(' '), each] as const))(
    '%s has an example, --json, and an exit code of 0',
    async (_, args) => {
      const { exit, out, err } = await run(...args, '--help');
      expect(exit).toBe(0);
      expect(out).toContain('--json');
      expect(out).toMatch(/Examples?:\n {2}\$ \S/);
      expect(err).toBe('');
    },
  );

  test('the version is that of the package, and flags set has a --version of its own', async () => {
    const { exit, out } = await run('--version');
    expect(exit).toBe(0);
    expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
    const set = await run('flags', 'set', 'sweep', '--version', '1.0.0', '--reason', 'x');
    expect(set.out).toBe('');
    expect(set.app.happened).toEqual(['open', 'close']);
  });
});
