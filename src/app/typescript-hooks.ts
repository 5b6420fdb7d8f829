import { readFile } from 'node:fs/promises';
import type { LoadHook, ResolveHook } from 'node:module';
import { fileURLToPath } from 'node:url';
import { transform } from 'esbuild';

/** Hooks of Node.js that load TypeScript as it stands: `./job.js` is also `./job.ts`, and types are left out. */

const TYPESCRIPT = /\.[cm]?ts$/;
const NOT_FOUND = 'ERR_MODULE_NOT_FOUND';

export const resolve: ResolveHook = async (specifier, context, next) => {
  try {
    return await next(specifier, context);
  } catch (error) {
    const named = /^(\.{1,2}\/|file:).*\.[cm]?js$/.test(specifier);
    if (!named || (error as NodeJS.ErrnoException).code !== NOT_FOUND) throw error;
    try {
      return await next(specifier.replace(/js$/, 'ts'), context);
    } catch {
      // The error names the file that was written.
      throw error;
    }
  }
};

export const load: LoadHook = async (url, context, next) => {
  if (!url.startsWith('file:') || !TYPESCRIPT.test(url) || url.includes('/node_modules/')) {
    return next(url, context);
  }
  const file = fileURLToPath(url);
  const { code } = await transform(await readFile(file, 'utf8'), {
    loader: 'ts',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    sourcefile: file,
  });
  return { format: 'module', source: code, shortCircuit: true };
};
