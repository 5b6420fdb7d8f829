#!/usr/bin/env node
import module from 'node:module';

// Node.js 20 has no such cache.
(module as { enableCompileCache?: () => unknown }).enableCompileCache?.();

/** What bundle.js makes of app/command-line.ts: one file to read in place of hundreds. */
const bundle = new URL('./bundle/command-line.js', import.meta.url).href;
const { commandLine } = (await import(bundle)) as typeof import('./app/command-line.js');
await commandLine(process.argv, process.env);
