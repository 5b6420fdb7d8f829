#!/usr/bin/env node
import { createApp } from './app/app.js';
import { errorOptions, exitCodeOf, printError } from './cli/exit.js';
import { createProgram } from './cli/program.js';
import { processTerminal } from './cli/terminal.js';
import { readConfig } from './config.js';

try {
  const { app, commands } = createApp(() => readConfig(process.env));
  const program = createProgram(app, processTerminal(), commands);
  await program.parseAsync(process.argv);
} catch (error) {
  printError(error, errorOptions(process.argv, process.env));
  process.exitCode = exitCodeOf(error);
}
