import { describe, expect, test } from '@jest/globals';
import { FakeApp } from './fake-app.js';
import { runProgram } from './run-program.js';

/** The words that may stand where the cursor is, after these. */
async function after(...words: string[]): Promise<string[]> {
  const { out, exit } = await runProgram(new FakeApp(), ['completion', 'candidates', '--', ...words]);
  expect(exit).toBe(0);
  return out
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t')[0] ?? '');
}

describe('completion', () => {
  test('of commands and those below them', async () => {
    expect(await after('st')).toEqual(['start', 'status', 'stop']);
    expect(await after('flags', '')).toEqual([
      'apply',
      'diff',
      'alerts',
      'list',
      'set',
      'history',
      'revert',
      'explain',
      'help',
    ]);
    expect(await after('nonsense', '')).toEqual(['']);
    expect(await after('')).not.toContain('candidates');
    expect(await after('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });

  test('says what each command is for', async () => {
    const { out } = await runProgram(new FakeApp(), ['completion', 'candidates', '--', 'kil']);
    expect(out).toBe('kill\tStop a job at once, in one region or in all\n');
  });

  test('of options, and of the values that they take', async () => {
    expect(await after('runs', '--st')).toEqual(['--status']);
    expect(await after('runs', '-s', 'he')).toEqual(['held']);
    expect(await after('tokens', 'issue', 'ci', '--role', 'op')).toEqual(['operator']);
    expect(await after('runs', '--limit', '')).toEqual(['']);
  });

  test('of jobs, regions and versions, of the job that is named', async () => {
    expect(await after('kill', 'sw')).toEqual(['sweep', 'sweep-logs']);
    expect(await after('kill', 'sweep', '--region', '')).toEqual(['eu-west-1', 'us-east-1']);
    expect(await after('kill', 'sweep', '--region', 'us')).toEqual(['us-east-1']);
    expect(await after('kill', 'sweep', '--version', '')).toEqual(['1.10.0_9f3c2a1b', 'installed']);
    expect(await after('run', '--region', 'eu-west-1', 's')).toEqual(['show', 'sweep', 'sweep-logs']);
    expect(await after('guard', 'backtest', '--job', 'sweep-')).toEqual(['sweep-logs']);
  });

  test('of files', async () => {
    expect(await after('flags', 'apply', '')).toEqual([':files']);
  });

  test('asks for names only where one can stand, and is silent where none can be read', async () => {
    const app = new FakeApp();
    await runProgram(app, ['completion', 'candidates', '--', 'runs', '--j']);
    expect(app.happened).toEqual([]);
    app.names = () => Promise.reject(new Error('the database is away'));
    const words = ['completion', 'candidates', '--', 'kill', 's'];
    expect(await runProgram(app, words)).toEqual({ exit: 0, out: '', err: '' });
  });
});
