import { rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createApp } from '../../dist/app/app.js';
import { errorOptions, exitCodeOf, printError } from '../../dist/cli/exit.js';
import { createProgram } from '../../dist/cli/program.js';
import { readConfig } from '../../dist/config.js';

/**
 * The command line in a process that stays, for scripts with many commands: to start one costs more than most
 * commands do. A request is a command's count of arguments, its arguments and its environment, each ended by a
 * NUL. The answer's body is standard output, its status 200 plus the exit code; standard error goes to ours, and into the
 * header x-stderr. COLUMNS is how wide the terminal is.
 */

const [socket = ''] = process.argv.slice(2);

createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const [count, ...words] = Buffer.concat(parts).toString('utf8').split('\0');
    const argv = words.splice(0, Number(count));
    const env = Object.fromEntries(
      words.filter(Boolean).map((word) => /^([^=]*)=([^]*)$/.exec(word)?.slice(1)),
    );
    run(argv, env).then(({ exit, text, errors }) =>
      // The first of what standard error has: headers are no longer than this.
      response
        .writeHead(200 + exit, { 'x-stderr': Buffer.from(errors).toString('base64').slice(0, 8_000) })
        .end(text),
    );
  });
}).listen(socket);

process.on('SIGTERM', () => {
  rmSync(socket, { force: true });
  process.exit();
});

async function run(argv, env) {
  let exit = 0;
  let text = '';
  let errors = '';
  const columns = Number(env['COLUMNS'] ?? Infinity);
  const output = (write) => ({
    ...{ isTTY: false, columns, rows: Infinity, closed: false, write },
    drained: () => Promise.resolve(),
  });
  const io = {
    stdout: output((more) => (text += more)),
    stderr: output((more) => {
      errors += more;
      process.stderr.write(more);
    }),
    ...{ colour: false, program: 'portcullis' },
    exitWith: (code) => (exit = code),
    onInterrupt: () => () => undefined,
    onKey: () => () => undefined,
  };
  const { app, commands } = createApp(() => readConfig(env));
  try {
    await createProgram(app, io, await commands()).parseAsync(['node', 'portcullis', ...argv]);
  } catch (error) {
    printError(error, errorOptions(argv, env), io.stderr);
    exit = exitCodeOf(error);
  }
  return { exit, text, errors };
}
