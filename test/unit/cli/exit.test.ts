import { describe, expect, test } from '@jest/globals';
import { CommanderError } from 'commander';
import { ERRORS, PortcullisError, type ErrorCode } from '../../../src/kernel/errors.js';
import { errorOptions, exitCodeOf, exitCodeOfRun, EXITS, printError } from '../../../src/cli/exit.js';
import { FakeTerminal } from './fake-terminal.js';

function printed(error: unknown, options: { json?: boolean; verbose?: boolean } = {}): string {
  const { stderr } = new FakeTerminal();
  printError(error, { json: false, ...options }, stderr);
  return stderr.text;
}

describe('exit codes', () => {
  const codes = Object.keys(ERRORS) as ErrorCode[];

  test.each(codes)('%s has its own', (code) => {
    expect(exitCodeOf(new PortcullisError(code, 'x'))).toBe(EXITS[code]);
    expect([1, 2, 3, 4]).toContain(EXITS[code]);
  });

  test('what a permission refuses over HTTP is refused on the command line, and so is what needs a second person', () => {
    const status = (code: ErrorCode): number => ERRORS[code].status;
    expect(codes.filter((code) => [401, 403].includes(status(code)) && EXITS[code] !== 4)).toEqual([]);
    expect(codes.filter((code) => EXITS[code] === 4 && ![401, 403].includes(status(code)))).toEqual([
      'ADMISSION_EXCEEDED',
      'BREAK_GLASS_REFUSED',
      'INITIAL_DONE',
      'ROLLOUT_REFUSED',
      'RESTORE_INEXACT',
      'ALONE_REFUSED',
    ]);
  });

  test('what is malformed or names nothing that exists is usage', () => {
    const wrong = codes.filter((code) => [400, 404, 405, 413].includes(ERRORS[code].status));
    expect(wrong.filter((code) => EXITS[code] !== 2)).toEqual([]);
  });

  test('whatever commander refuses is usage, and help and version are not errors', () => {
    expect(exitCodeOf(new CommanderError(1, 'commander.unknownOption', 'error: unknown option'))).toBe(2);
    expect(exitCodeOf(new CommanderError(1, 'commander.help', '(outputHelp)'))).toBe(2);
    expect(exitCodeOf(new CommanderError(0, 'commander.helpDisplayed', '(outputHelp)'))).toBe(0);
    expect(exitCodeOf(new CommanderError(0, 'commander.version', '0.1.0'))).toBe(0);
  });

  test('what nobody foresaw has failed', () => {
    expect(exitCodeOf(new TypeError('x is not a function'))).toBe(1);
    expect(exitCodeOf('a string')).toBe(1);
  });

  test.each([
    ['succeeded', 0],
    ['planned', 0],
    ['skipped', 0],
    ['held', 3],
    ['stopped', 3],
    ['refused', 4],
    ['failed', 1],
  ] as const)('a run that %s exits with %i', (status, code) => {
    expect(exitCodeOfRun(status)).toBe(code);
  });
});

describe('printing an error', () => {
  const error = new PortcullisError('REGION_UNKNOWN', 'there is no region eu-wset-1', {
    hint: 'did you mean eu-west-1?',
    details: { region: 'eu-wset-1' },
  });

  test('says the code, what is wrong, and the hint', () => {
    expect(printed(error)).toBe(
      'error REGION_UNKNOWN: there is no region eu-wset-1\n  hint: did you mean eu-west-1?\n',
    );
  });

  test('with --json is one object on one line', () => {
    const text = printed(error, { json: true });
    expect(text.trimEnd()).not.toContain('\n');
    expect(JSON.parse(text)).toEqual({
      error: {
        code: 'REGION_UNKNOWN',
        title: 'There is no such region',
        message: 'there is no region eu-wset-1',
        hint: 'did you mean eu-west-1?',
        details: { region: 'eu-wset-1' },
      },
    });
  });

  test('shows a stack only where it is asked for', () => {
    const crash = new TypeError('x is not a function');
    expect(printed(crash)).toMatch(/^error INTERNAL: x is not a function\n {2}hint: .*--verbose.*\n$/);
    expect(printed(crash, { verbose: true })).toContain('exit.test.ts');
    expect(printed(crash, { json: true })).not.toContain('exit.test.ts');
    expect(printed(crash, { json: true, verbose: true })).toContain('exit.test.ts');
  });

  test('keeps the lines of a message apart and obeys nothing in them', () => {
    expect(printed(new PortcullisError('CSV_INVALID', '2 faults\na.csv:2: \u001b[2J'))).toBe(
      'error CSV_INVALID: 2 faults\n  a.csv:2: \\x1b[2J\n',
    );
  });

  test('gives commander’s errors a code, and its suggestion as the hint', () => {
    const unknown = new CommanderError(
      1,
      'commander.unknownCommand',
      "error: unknown command 'stauts'\n(Did you mean status?)",
    );
    expect(printed(unknown)).toBe(
      "error USAGE_INVALID: unknown command 'stauts'\n  hint: did you mean status?\n",
    );
  });

  test('a database that is away is named as such', () => {
    const away = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' });
    expect(printed(away)).toContain('error DATABASE_UNREACHABLE: connect ECONNREFUSED');
  });

  test('says nothing after help', () => {
    expect(printed(new CommanderError(0, 'commander.helpDisplayed', '(outputHelp)'))).toBe('');
  });
});

test('errors are asked for as JSON, or with their stacks, even by a faulty command line', () => {
  expect(errorOptions(['node', 'main', 'nonsense', '--json'], {})).toEqual({ json: true, verbose: false });
  expect(errorOptions(['node', 'main', '--verbose'], {})).toEqual({ json: false, verbose: true });
  expect(errorOptions([], { PORTCULLIS_LOG_LEVEL: 'debug' })).toEqual({ json: false, verbose: true });
});
