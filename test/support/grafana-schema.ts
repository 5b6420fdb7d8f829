import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const SOURCE = fileURLToPath(new URL('../../dashboards/source/', import.meta.url));
const CONFIG = join(SOURCE, '../tsconfig.json');

/** What Grafana's schema holds against a text that should be a dashboard: `path:line: message`, none where it fits. */
export function schemaErrors(texts: Readonly<Record<string, string>>): string[] {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(CONFIG, (path) => readFileSync(path, 'utf8')).config,
    ts.sys,
    dirname(CONFIG),
  );
  // A literal in its place: only there are properties that nobody knows an error.
  const sources = new Map(
    Object.entries(texts).map(([name, text]) => [
      join(SOURCE, `${name}.ts`),
      `import type { GrafanaDashboard } from './grafana.js'; export const dashboard: GrafanaDashboard = ${text};`,
    ]),
  );
  const disk = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (path) => sources.has(path) || disk.fileExists(path),
    getSourceFile(path, target) {
      const text = sources.get(path);
      return text === undefined ? disk.getSourceFile(path, target) : ts.createSourceFile(path, text, target);
    },
  };
  const program = ts.createProgram([...sources.keys()], { ...options, incremental: false }, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const message = ts.flattenDiagnosticMessageText(messageText, '\n');
    if (!file || start === undefined) return message;
    const { line } = ts.getLineAndCharacterOfPosition(file, start);
    return `${file.fileName.slice(SOURCE.length)}:${line + 1}: ${message}`;
  });
}
