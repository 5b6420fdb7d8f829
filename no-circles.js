import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';

/** Whom each file of src/ imports, types included: `import-x/no-cycle` passes over imports of types. */
function importsIn(folder) {
  const code = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.tsx?$/.test(path))
    .map((path) => join(folder, path));
  const files = new Set(code);
  return new Map(code.map((file) => [file, importsOf(file, readFileSync(file, 'utf8'), files)]));
}

function importsOf(file, text, files) {
  return ts
    .preProcessFile(text, true, false)
    .importedFiles.map(({ fileName }) => targetOf(file, fileName, files))
    .filter((target) => target !== undefined);
}

function targetOf(file, name, files) {
  if (!name.startsWith('.')) return undefined;
  const stem = resolve(dirname(file), name).replace(/\.js$/, '');
  return [`${stem}.ts`, `${stem}.tsx`].find((path) => files.has(path));
}

/** The shortest way from one file to another by imports, both included; undefined where there is none. */
export function wayBetween(imports, from, to) {
  const cameFrom = new Map([[from, undefined]]);
  for (const file of cameFrom.keys()) {
    if (file === to) {
      const way = [];
      for (let at = to; at !== undefined; at = cameFrom.get(at)) way.unshift(at);
      return way;
    }
    for (const next of imports.get(file) ?? []) if (!cameFrom.has(next)) cameFrom.set(next, file);
  }
  return undefined;
}

const SRC = join(import.meta.dirname, 'src');
let onDisk;

/** Refuses an import that comes back to the file it stands in. */
export const noCircles = {
  meta: { type: 'problem', schema: [], messages: { circle: 'files import each other in a circle: {{way}}' } },
  create(context) {
    onDisk ??= importsIn(SRC);
    const files = new Set(onDisk.keys());
    const check = (node) => {
      const target = node.source && targetOf(context.filename, node.source.value, files);
      const way = target && wayBetween(onDisk, target, context.filename);
      if (!way) return;
      const named = [context.filename, ...way].map((path) => path.slice(SRC.length + 1)).join(' → ');
      context.report({ node, messageId: 'circle', data: { way: named } });
    };
    return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check };
  },
};
