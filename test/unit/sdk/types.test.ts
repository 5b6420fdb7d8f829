import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import ts from 'typescript';

const FILE = fileURLToPath(new URL('declarations.ts', import.meta.url));

/** What the compiler says of the file; `text` in its place. */
function faultsIn(text: string): string[] {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2023.d.ts'],
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true,
  };
  const host = ts.createCompilerHost(options);
  const read = host.readFile.bind(host);
  host.readFile = (file) => (file === FILE ? text : read(file));
  const program = ts.createProgram([FILE], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line + 1;
    return `${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ').slice(0, 120)}`;
  });
}

const declarations = readFileSync(FILE, 'utf8');

test('a declaration that names an unknown kind, resource, column, client or option does not compile, and others do', () => {
  expect(faultsIn(declarations)).toEqual([]);
  // Each of those that are expected is an error of its own.
  const expected = declarations.match(/\/\/ @ts-expect-error/g) ?? [];
  const faults = faultsIn(declarations.replaceAll('@ts-expect-error', ''));
  expect(expected.length).toBeGreaterThan(10);
  expect(faults.length).toBeGreaterThanOrEqual(expected.length);
});
