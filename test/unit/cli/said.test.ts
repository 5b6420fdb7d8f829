import { expect, test } from '@jest/globals';
import { createProgram } from '../../../src/cli/program.js';
import { FakeApp } from './fake-app.js';
import { FakeTerminal } from './fake-terminal.js';

const SAYING = [
  ['rearm', 'sweep', '--region', 'eu-west-1', '--reason'],
  ['rollout', 'pause', 'sweep', '--reason'],
  ['rollout', 'start', 'sweep', '--version', '1.0.0', '--reason'],
  ['incident', 'close', 'k3v7qa2m', '--conclusion'],
  ['guard', 'accept', '3f2a9c1e', '--reason'],
].map((args) => ({ args, command: args.join(' ') }));

test.each(SAYING)('$command must say something, and not a book', async ({ args }) => {
  for (const said of ['', ' \t ', 'x'.repeat(501)]) {
    const app = new FakeApp();
    const program = createProgram(app, new FakeTerminal(), app.commands);
    await expect(program.parseAsync(['node', 'portcullis', ...args, said])).rejects.toMatchObject({
      code: 'commander.invalidArgument',
    });
    expect(app.happened).toEqual([]);
  }
});
