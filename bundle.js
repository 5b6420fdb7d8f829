import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, context } from 'esbuild';

/**
 * Makes dist/bundle of what tsc wrote to dist: the command line in a few files. To find, read and link the hundreds
 * that it consists of takes longer than most commands do. And dist/console, which browsers load.
 */
const DIST = fileURLToPath(new URL('dist/', import.meta.url));
const BUNDLE = join(DIST, 'bundle');
const CONSOLE = fileURLToPath(new URL('src/console/', import.meta.url));

/** These stay where they are, with all that they import, and the bundle imports them from there. */
const APART = [
  // A job's version is the digest of its files (src/worker/job-code.ts): what runs are those files.
  'jobs/domain-claim/job.js',
  'demo/incident/lost-condition/job.js',
  // Tests say here where a process stops (test/support/kill-at.mjs).
  'kernel/fault-point.js',
];

/** The rooms that what stands apart may import: of any other there would be two copies in one process. */
const SHARED = /^(jobs|demo\/incident\/lost-condition|sdk|kernel\/fault-point\.js)/;

export async function bundle() {
  const options = await bundleOptions();
  await rm(BUNDLE, { recursive: true, force: true });
  await build(options);
  await chmod(join(DIST, 'main.js'), 0o755);
  await build(consoleOptions());
}

/** Makes dist/console of src/console: a page, and its files, named by what is in them, that browsers keep for ever. */
function consoleOptions() {
  return {
    entryPoints: [join(CONSOLE, 'main.tsx'), join(CONSOLE, 'style.css')],
    outdir: join(DIST, 'console/assets'),
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    tsconfig: join(CONSOLE, 'tsconfig.json'),
    legalComments: 'eof',
    logLevel: 'warning',
    metafile: true,
    write: false,
    plugins: [consolePage],
  };
}

const consolePage = {
  name: 'console-page',
  setup({ onEnd }) {
    onEnd(async ({ metafile, outputFiles = [] }) => {
      if (metafile === undefined) return;
      const folder = join(DIST, 'console');
      const made = (source) =>
        basename(
          Object.entries(metafile.outputs).find(([, { entryPoint = '' }]) => entryPoint.endsWith(source))[0],
        );
      const page = (await readFile(join(CONSOLE, 'page.html'), 'utf8'))
        .replace('main.tsx', `/assets/${made('main.tsx')}`)
        .replace('style.css', `/assets/${made('style.css')}`);
      await rm(folder, { recursive: true, force: true });
      await mkdir(join(folder, 'assets'), { recursive: true });
      for (const { path, contents } of outputFiles) await writeFile(path, contents);
      await writeFile(join(folder, 'index.html'), page);
    });
  },
};

async function bundleOptions() {
  const apart = await withImports(APART.map((file) => join(DIST, file)));
  for (const file of apart) {
    const name = relative(DIST, file);
    if (!SHARED.test(name)) throw new Error(`a job's code imports ${name}, which the bundle has a copy of`);
  }
  return {
    entryPoints: [join(DIST, 'app/command-line.js')],
    outdir: BUNDLE,
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'eof',
    logLevel: 'warning',
    // What packages of the CommonJS kind require of Node.js.
    banner: {
      js: `import { createRequire as requireFrom } from 'node:module';\nconst require = requireFrom(import.meta.url);`,
    },
    plugins: [keepApart(apart), knowWhere, oneLanguage],
  };
}

/** Files, and what they import of ours, and so on. */
async function withImports(files) {
  const { metafile } = await build({
    entryPoints: files,
    outdir: BUNDLE,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    write: false,
    metafile: true,
  });
  return new Set(Object.keys(metafile.inputs).map((file) => resolve(file)));
}

const keepApart = (apart) => ({
  name: 'keep-apart',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
      const file = resolve(resolveDir, path);
      return apart.has(file) ? { path: relative(BUNDLE, file), external: true } : undefined;
    });
  },
});

/** In the bundle a file still finds what stands beside it in dist. */
const knowWhere = {
  name: 'know-where',
  setup({ onLoad }) {
    onLoad({ filter: /\/dist\/.*\.js$/ }, async ({ path }) => {
      if (path.includes('/node_modules/')) return undefined;
      const text = await readFile(path, 'utf8');
      const place = `new URL(${JSON.stringify(relative(BUNDLE, path))}, import.meta.url).href`;
      return text.includes('import.meta.url')
        ? { contents: text.replaceAll('import.meta.url', place), resolveDir: dirname(path), loader: 'js' }
        : undefined;
    });
  },
};

/** zod brings its messages in fifty languages; those that Portcullis shows are its own, or English. */
const oneLanguage = {
  name: 'one-language',
  setup({ onLoad }) {
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: `export { default as en } from './en.js';`,
    }));
  },
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--watch')) {
    await (await context(await bundleOptions())).watch();
    await (await context(consoleOptions())).watch();
  } else await bundle();
}
