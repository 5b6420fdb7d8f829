import { Command } from 'commander';
import { describe, expect, test } from '@jest/globals';
import { displayWidth } from '../../../src/cli/display-width.js';
import { COMMAND_RIGHTS, pathOf } from '../../../src/cli/permissions.js';
import { createProgram } from '../../../src/cli/program.js';
import { FakeApp } from './fake-app.js';
import { FakeTerminal } from './fake-terminal.js';
import { runProgram } from './run-program.js';

/** What holds for every command, whichever it is. */

const app = new FakeApp();
const program = createProgram(app, new FakeTerminal({ isTTY: true, columns: 80 }), app.commands);

function below(command: Command): Command[] {
  return command.commands.flatMap((each) => [each, ...below(each)]);
}
const commands = below(program);
const leaves = commands.filter(({ commands: own }) => own.length === 0);
const paths = commands.map((command) => [pathOf(command)] as const);

test('every command of the table is there, and no other', () => {
  // `runs` and `completion` do something themselves, and hold others too.
  const known = Object.keys(COMMAND_RIGHTS).sort();
  const groups = commands.filter((each) => each.commands.length > 0).map(pathOf);
  expect(known.filter((path) => !paths.some(([each]) => each === path))).toEqual([]);
  expect(leaves.map(pathOf).filter((path) => !known.includes(path))).toEqual([]);
  expect(
    paths.map(([path]) => path).filter((path) => !known.includes(path) && !groups.includes(path)),
  ).toEqual([]);
});

describe('help fits a terminal of 80 columns', () => {
  test.each([...paths, ['']])('portcullis %s --help', async (path) => {
    const { out, exit } = await runProgram(app, [...path.split(' ').filter(Boolean), '--help'], [], 80);
    expect(exit).toBe(0);
    expect(out.split('\n').filter((line) => displayWidth(line) > 80)).toEqual([]);
  });
});

describe('a faulty command line exits with 2 and opens nothing', () => {
  test.each(leaves.map((command) => [pathOf(command), command] as const))(
    'portcullis %s',
    async (path, command) => {
      const needed = command.registeredArguments.filter(({ required }) => required);
      const lines = [[...needed.map(() => 'x'), '--surely-not'], ...(needed.length > 0 ? [[]] : [])];
      for (const line of lines) {
        const opened = app.happened.length;
        const { exit, out, err } = await runProgram(app, [...path.split(' '), ...line]);
        expect([line, exit, out]).toEqual([line, 2, '']);
        expect(err).toMatch(/^error USAGE_INVALID: /);
        expect(app.happened.length).toBe(opened);
      }
    },
  );
});

describe('a shell completes', () => {
  const after = async (...words: string[]): Promise<string[]> => {
    const { out, exit } = await runProgram(app, ['completion', 'candidates', '--', ...words]);
    expect(exit).toBe(0);
    return out.split('\n').map((line) => line.split('\t')[0] ?? '');
  };

  test.each(commands.map((command) => [pathOf(command), command] as const))(
    '%s, and each of its options',
    async (path, command) => {
      const words = path.split(' ');
      const isHidden = path === 'completion candidates';
      expect((await after(...words)).includes(command.name())).toBe(!isHidden);
      const shown = command.createHelp().visibleOptions(command);
      const options = shown.flatMap(({ long }) => long ?? []);
      expect(options.length).toBeGreaterThan(0);
      expect(await after(...words, '--')).toEqual(expect.arrayContaining(options));
    },
  );
});
