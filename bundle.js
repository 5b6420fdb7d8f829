import { chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { build, context } from 'esbuild';

/**
 * Makes dist/bundle of what tsc wrote to dist: the command line in a few files. To find, read and link the hundreds
 * that it consists of takes longer than most commands do. And dist/console, which browsers load.
 */
const DIST = fileURLToPath(new URL('dist/', import.meta.url));
const SOURCE = fileURLToPath(new URL('src/', import.meta.url));
const BUNDLE = join(DIST, 'bundle');
/** `kill` and `stop` by themselves: what they share with other commands is there twice, and what they do not need is not. */
const KILL = join(BUNDLE, 'kill');
const CONSOLE = fileURLToPath(new URL('src/console/', import.meta.url));

/** Of a job's folder, what tsc leaves out: it is part of the job, and stands beside its program. */
const JOB_FILES = ['jobs/domain-claim/migrations', 'jobs/domain-claim/runbook.md'];

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
  for (const each of options) refuseNeedless(await build({ ...each, metafile: true }));
  await chmod(join(DIST, 'main.js'), 0o755);
  for (const file of JOB_FILES) {
    await rm(join(DIST, file), { recursive: true, force: true });
    await cp(join(SOURCE, file), join(DIST, file), { recursive: true });
  }
  await build(consoleOptions());
}

/** What a kill must not wait for: logs, policy files, servers, other commands, and the schemas of views. */
const NEEDLESS =
  /node_modules\/(yaml|pino|express)\/|dist\/(operations|server|cli\/program|worker\/registry|kernel\/schema)[/.]/;

/** Fails where what is read before a kill begins has come to hold something of that. */
function refuseNeedless({ metafile: { outputs } }) {
  const [entry] = Object.keys(outputs).filter((file) => basename(file) === 'kill-line.js');
  if (entry === undefined) return;
  const first = new Set([entry]);
  for (const file of first) {
    for (const { path, kind } of outputs[file]?.imports ?? [])
      if (kind === 'import-statement') first.add(path);
  }
  const needless = [...first].flatMap((file) =>
    Object.entries(outputs[file]?.inputs ?? {}).flatMap(([input, { bytesInOutput }]) =>
      bytesInOutput > 0 && NEEDLESS.test(input) ? [input] : [],
    ),
  );
  if (needless.length > 0) throw new Error(`kill would load ${needless.join(', ')}`);
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
      for (const { path, contents } of outputFiles) {
        await writeFile(path, contents);
        for (const [suffix, compressed] of await smaller(contents))
          await writeFile(path + suffix, compressed);
      }
      await writeFile(join(folder, 'index.html'), page);
    });
  },
};

/** As small as they get, once: the server sends them as they are. Where that saves nothing there are none. */
async function smaller(contents) {
  const made = [
    ['.br', await promisify(brotliCompress)(contents)],
    ['.gz', await promisify(gzip)(contents, { level: 9 })],
  ];
  return made.filter(([, compressed]) => compressed.length < 0.9 * contents.length);
}

async function bundleOptions() {
  const apart = await withImports(APART.map((file) => join(DIST, file)));
  for (const file of apart) {
    const name = relative(DIST, file);
    if (!SHARED.test(name)) throw new Error(`a job's code imports ${name}, which the bundle has a copy of`);
  }
  const lines = { 'command-line': BUNDLE, 'kill-line': KILL };
  return Object.entries(lines).map(([line, folder]) => ({
    entryPoints: [join(DIST, `app/${line}.js`)],
    outdir: folder,
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // It finds its program beside its own files.
    external: ['esbuild'],
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'eof',
    logLevel: 'warning',
    // What packages of the CommonJS kind require of Node.js.
    banner: {
      js: `import { createRequire as requireFrom } from 'node:module';\nconst require = requireFrom(import.meta.url);`,
    },
    plugins: [keepApart(apart, folder), ourFiles(folder), oneLanguage, nodeAlone],
  }));
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

const keepApart = (apart, folder) => ({
  name: 'keep-apart',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
      const file = resolve(resolveDir, path);
      return apart.has(file) ? { path: relative(folder, file), external: true } : undefined;
    });
  },
});

/**
 * In the bundle a file still finds what stands beside it in dist. And zod comes without what nobody uses of it: esbuild
 * leaves parts of a module out where all of it is imported, not where one object of it is.
 */
const ourFiles = (folder) => ({
  name: 'our-files',
  setup({ onLoad }) {
    onLoad({ filter: /\/dist\/.*\.js$/ }, async ({ path }) => {
      if (path.includes('/node_modules/')) return undefined;
      const text = await readFile(path, 'utf8');
      const place = `new URL(${JSON.stringify(relative(folder, path))}, import.meta.url).href`;
      const contents = text
        .replaceAll('import.meta.url', place)
        .replace("import { z } from 'zod';", "import * as z from 'zod';");
      return { contents, resolveDir: dirname(path), loader: 'js' };
    });
  },
});

/** zod brings its messages in fifty languages; those that Portcullis shows are its own, or English. */
const oneLanguage = {
  name: 'one-language',
  setup({ onLoad }) {
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: `export { default as en } from './en.js';`,
    }));
  },
};

/** pg asks whether it runs at Cloudflare, which on Node.js 20 loads all of fetch. */
const nodeAlone = {
  name: 'node-alone',
  setup({ onLoad }) {
    onLoad({ filter: /\/pg\/lib\/stream\.js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const asking = 'if (isCloudflareRuntime())';
      if (!text.includes(asking))
        throw new Error(`${path} no longer asks where it runs as bundle.js knows it`);
      return { contents: text.replace(asking, 'if (false)'), loader: 'js' };
    });
  },
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--watch')) {
    for (const each of await bundleOptions()) await (await context(each)).watch();
    await (await context(consoleOptions())).watch();
  } else await bundle();
}
