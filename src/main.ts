#!/usr/bin/env node
import module from 'node:module';

// Node.js 20 has no such cache.
(module as { enableCompileCache?: () => unknown }).enableCompileCache?.();

/** Whoever stops something does not wait for the code of all other commands. */
const command = process.argv.slice(2).find((word) => !word.startsWith('-'));
/** What bundle.js makes of app/command-line.ts and app/kill-line.ts: a few files to read in place of hundreds. */
const bundle =
  command === 'kill' || command === 'stop' ? './bundle/kill/kill-line.js' : './bundle/command-line.js';
const { commandLine } = (await import(
  new URL(bundle, import.meta.url).href
)) as typeof import('./app/command-line.js');
await commandLine(process.argv, process.env);
