import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { bar, ProgressLine, withProgress } from '../../../src/cli/progress.js';
import { RunAccount } from '../../../src/cli/run-progress.js';
import { FakeTerminal } from './fake-terminal.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test('what is over within a second shows nothing', () => {
  const { stderr } = new FakeTerminal({ isTTY: true, columns: 80 });
  const progress = new ProgressLine(stderr, 'planning');
  jest.advanceTimersByTime(900);
  progress.end();
  jest.advanceTimersByTime(5_000);
  expect(stderr.text).toBe('');
});

test('what takes longer is shown, changes, and is taken away at the end', () => {
  const { stderr } = new FakeTerminal({ isTTY: true, columns: 80 });
  const progress = new ProgressLine(stderr, 'planning');
  jest.advanceTimersByTime(1_100);
  expect(stderr.plain).toContain('planning');
  progress.say('applying');
  jest.advanceTimersByTime(100);
  expect(stderr.plain).toContain('applying');
  progress.end();
  expect(stderr.text.endsWith('\r\u001b[2K')).toBe(true);
});

test('nothing is shown where there is no terminal', () => {
  const { stderr } = new FakeTerminal();
  const progress = new ProgressLine(stderr, 'planning');
  jest.advanceTimersByTime(60_000);
  progress.end();
  expect(stderr.text).toBe('');
});

test('the line fits the terminal, whatever it says', () => {
  const { stderr } = new FakeTerminal({ isTTY: true, columns: 20 });
  const progress = new ProgressLine(stderr, 'a text that is\nmuch too long for it');
  jest.advanceTimersByTime(1_000);
  progress.end();
  expect(stderr.plain.trim().length).toBeLessThanOrEqual(20);
  expect(stderr.text).not.toContain('\n');
});

test('what is printed meanwhile does not mix with the line', () => {
  const { stderr } = new FakeTerminal({ isTTY: true, columns: 80 });
  const progress = new ProgressLine(stderr, 'planning');
  jest.advanceTimersByTime(1_000);
  progress.above(() => stderr.write('a row\n'));
  expect(stderr.text.endsWith('\r\u001b[2Ka row\n')).toBe(true);
  progress.end();
});

test('the line goes also where the work fails', async () => {
  const { stderr } = new FakeTerminal({ isTTY: true, columns: 80 });
  const failing = withProgress(stderr, 'planning', () => {
    jest.advanceTimersByTime(1_000);
    return Promise.reject(new Error('no'));
  });
  await expect(failing).rejects.toThrow('no');
  expect(stderr.text.endsWith('\r\u001b[2K')).toBe(true);
});

test('a run says how far it is', () => {
  const account = new RunAccount();
  expect(account.text()).toBe('starting the run');
  account.hear({ phase: 'planning' });
  expect(account.text()).toBe('planning');
  account.hear({ phase: 'applying', planned: { claim: 3_000, verify: 1_000 } });
  account.hear({ phase: 'batch', written: { applied: 990, conflicts: 10 } });
  account.hear({ phase: 'batch', written: { applied: 1_000, conflicts: 0 } });
  expect(account.text()).toBe(`applying  ${'█'.repeat(12)}${'░'.repeat(12)}  2,000 of 4,000`);
});

test.each([
  [0, 0, '░'.repeat(24)],
  [5, 5, '█'.repeat(24)],
  [6, 5, '█'.repeat(24)],
])('%i of %i is a bar', (done, of, drawn) => {
  expect(bar(done, of)).toContain(drawn);
});
