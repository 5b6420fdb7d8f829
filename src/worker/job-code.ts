import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { init, parse } from 'es-module-lexer';
import { messageOf, PortcullisError } from '../kernel/errors.js';

/** All that a job consists of. */
export interface JobCode {
  /** Contents of the job's own files, by their path from the job's folder. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** `name@version` of every package that the code imports, and of those that these depend on. */
  readonly packages: ReadonlySet<string>;
}

const PROGRAM = /\.[cm]?[jt]s$/;
/**
 * The platform judges a job and is no part of it: otherwise each upgrade of Portcullis would start every job at zero
 * (docs/adr/0035-a-jobs-digest.md).
 */
const PLATFORM = /^portcullis(\/|$)/;
const PLATFORM_FOLDER = fileURLToPath(new URL('../sdk/', import.meta.url));

/** They don't run. */
const LEFT_OUT = /\.map$|\.d\.[cm]?ts$/;

/**
 * Reads what a job consists of: every file of its folder, the program files that these import from anywhere outside
 * node_modules, and the packages that all of these import; without Portcullis itself. Files and folders whose names begin with a dot, maps and
 * declarations are left out. Throws JOB_INVALID where an import cannot be followed.
 */
export async function readJobCode(folder: URL): Promise<JobCode> {
  await init();
  const reader = new CodeReader(fileURLToPath(folder));
  await reader.addFolder(fileURLToPath(folder), '');
  return reader;
}

/**
 * A program file and what it imports outside node_modules when it is loaded, and so on, with what each imports. What is
 * imported later, by `import()`, is left out.
 */
export async function ownModules(file: string): Promise<ReadonlyMap<string, readonly string[]>> {
  await init();
  const graph = new Map<string, string[]>();
  const pending = [file];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (graph.has(next)) continue;
    const imported: string[] = [];
    graph.set(next, imported);
    for (const specifier of importsOf(next, await readFile(next, 'utf8'), 'static')) {
      const found = await resolveImport(specifier, next, next);
      if (found === undefined || 'package' in found || !PROGRAM.test(found.path)) continue;
      imported.push(found.path);
      pending.push(found.path);
    }
  }
  return graph;
}

class CodeReader implements JobCode {
  readonly files = new Map<string, Buffer>();
  readonly packages = new Set<string>();
  /** Files, folders and packages that have been read: links may lead to one twice, or in a circle. */
  private readonly seen = new Set<string>();

  constructor(private readonly home: string) {}

  /** Every file of a folder, by a name that begins with `prefix`. */
  async addFolder(folder: string, prefix: string): Promise<void> {
    if (!this.isNew(await realpath(folder))) return;
    for (const name of await readdir(folder)) {
      if (name.startsWith('.') || name === 'node_modules' || LEFT_OUT.test(name)) continue;
      const path = join(folder, name);
      if ((await stat(path)).isDirectory()) await this.addFolder(path, `${prefix}${name}/`);
      else await this.addFile(path, `${prefix}${name}`);
    }
  }

  private async addFile(path: string, name: string): Promise<void> {
    if (path.startsWith(PLATFORM_FOLDER) || !this.isNew(path)) return;
    const content = await readFile(path);
    this.files.set(name, content);
    if (!PROGRAM.test(path)) return;
    for (const specifier of importsOf(name, content.toString('utf8')))
      await this.follow(specifier, path, name);
  }

  private async follow(specifier: string, from: string, name: string): Promise<void> {
    const found = await resolveImport(specifier, from, name);
    if (found === undefined) return;
    return 'package' in found ? this.addPackage(found.package, found.folder) : this.addOwn(found.path);
  }

  private addOwn(path: string): Promise<void> {
    return this.addFile(path, relative(this.home, path).split(sep).join('/'));
  }

  private async addPackage(name: string, folder: string): Promise<void> {
    const home = await realpath(folder);
    // Linked, as in a workspace: its version says nothing of its code.
    if (!home.split(sep).includes('node_modules')) return this.addFolder(home, `${name}/`);
    if (!this.isNew(home)) return;
    const { version = '', dependencies = {} } = JSON.parse(
      await readFile(join(home, 'package.json'), 'utf8'),
    ) as { version?: string; dependencies?: Record<string, string> };
    this.packages.add(`${name}@${version}`);
    for (const each of Object.keys(dependencies)) {
      const found = await packageAbove(home, each);
      if (found !== undefined) await this.addPackage(each, found);
    }
  }

  private isNew(what: string): boolean {
    const { size } = this.seen;
    return this.seen.add(what).size > size;
  }
}

type Imported = { readonly path: string } | { readonly package: string; readonly folder: string };

/** What a file's import leads to; undefined for what Node.js or Portcullis brings. Throws JOB_INVALID for nothing. */
async function resolveImport(specifier: string, from: string, name: string): Promise<Imported | undefined> {
  if (isBuiltin(specifier) || PLATFORM.test(specifier)) return undefined;
  if (/^\.{0,2}\/|^file:/.test(specifier)) {
    const path = await programAt(fileURLToPath(new URL(specifier, pathToFileURL(from))));
    if (path === undefined) throw unfollowed(name, `imports ${specifier}, which is not there`);
    return { path };
  }
  const named = /^(@[^/]+\/)?[^/#@][^/]*/.exec(specifier)?.[0];
  const folder = named === undefined ? undefined : await packageAbove(dirname(from), named);
  if (named !== undefined && folder !== undefined) return { package: named, folder };
  // `#name`, or a package's own name: what its package.json says.
  const path = ownPath(specifier, from);
  if (path === undefined) throw unfollowed(name, `imports ${specifier}, which is not installed`);
  return { path };
}

/** What a program file imports when it runs. Throws JOB_INVALID where that cannot be told from its text. */
function importsOf(name: string, text: string, which: 'all' | 'static' = 'all'): string[] {
  const [imports, , , isModule] = parsed(name, text);
  if (!isModule && /\brequire\s*\(/.test(text)) throw unfollowed(name, 'is CommonJS and calls require()');
  return imports.flatMap((each) => {
    if (which === 'static' && each.type === 'dynamic') return [];
    if (each.type === 'import-meta' || (each.type !== 'dynamic' && each.typeOnly)) return [];
    if (each.specifier === undefined || (each.type === 'dynamic' && each.glob))
      throw unfollowed(name, 'imports a module whose name is computed');
    return [each.specifier];
  });
}

function parsed(name: string, text: string): ReturnType<typeof parse> {
  try {
    return parse(text, name);
  } catch (error) {
    throw unfollowed(name, `cannot be read as a program: ${messageOf(error)}`);
  }
}

function unfollowed(name: string, what: string): PortcullisError {
  return new PortcullisError('JOB_INVALID', `the digest of the job’s code cannot be made: ${name} ${what}`, {
    hint: 'correct the file, or set PORTCULLIS_BUILD_ID to what identifies the build, such as the commit’s hash',
    details: { file: name },
  });
}

/** A program file, also where it is TypeScript that is named as it will be compiled. */
async function programAt(path: string): Promise<string | undefined> {
  for (const each of [path, path.replace(/js$/, 'ts')]) {
    const found = await stat(each).catch(() => undefined);
    if (found?.isFile()) return each;
  }
  return undefined;
}

async function packageAbove(folder: string, name: string): Promise<string | undefined> {
  for (let above = folder; ; above = dirname(above)) {
    const path = join(above, 'node_modules', name);
    if ((await stat(join(path, 'package.json')).catch(() => undefined)) !== undefined) return path;
    if (dirname(above) === above) return undefined;
  }
}

function ownPath(specifier: string, from: string): string | undefined {
  try {
    return createRequire(from).resolve(specifier);
  } catch {
    return undefined;
  }
}
