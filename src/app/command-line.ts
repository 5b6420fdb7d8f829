import { createFrame } from '../cli/frame.js';
import { createApp } from './app.js';
import { carryOut, type Env } from './carry-out.js';

/** Does what the process's arguments say, and sets its exit code. */
export async function commandLine(argv: readonly string[], env: Env): Promise<void> {
  await carryOut(argv, env, async (io) => {
    const { readConfig } = await import('../config.js');
    const { app, commands } = createApp(() => readConfig(env));
    const [first, ...more] = argv.slice(2);
    if (more.length === 0 && (first === '--version' || first === '-V')) return createFrame(app, io, []);
    const { createProgram } = await import('../cli/program.js');
    return createProgram(app, io, await commands());
  });
}
