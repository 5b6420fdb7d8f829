import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { ESLint, type Linter } from 'eslint';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LAYERS = 'import-x/no-restricted-paths';
const CIRCLES = 'ours/no-circles';

/** The picture in ADR 1, turned over: the lowest line first. */
const drawn = /```\n([\s\S]*?)```/
  .exec(readFileSync(join(ROOT, 'docs/adr/0001-layers.md'), 'utf8'))?.[1]
  ?.trim()
  .split('\n')
  .reverse()
  .map((line) => line.split(/[\s,]+/));
if (!drawn) throw new Error('ADR 1 has no picture of the layers');
const lines = drawn;
const rooms = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).map(({ name }) =>
  name.replace(/\.ts$/, ''),
);

/** Some file of a room, as seen from a file that stands in another. */
function importOf(room: string): string {
  const inside = join(ROOT, 'src', room);
  const file = readdirSync(join(ROOT, 'src')).includes(room)
    ? join(room, readdirSync(inside, { recursive: true, encoding: 'utf8' }).find(isCode) ?? '')
    : `${room}.ts`;
  return `import '../${file.replace(/\.ts$/, '.js')}';`;
}

function isCode(path: string): boolean {
  return path.endsWith('.ts');
}

/** One of the project's rules about imports, and nothing that needs types. */
async function ruleAlone(name: string): Promise<ESLint> {
  const { href } = new URL('../../eslint.config.js', import.meta.url);
  const { default: config } = (await import(href)) as { default: Linter.Config[] };
  const parser = config.find(({ languageOptions }) => languageOptions?.['parser'])?.languageOptions?.[
    'parser'
  ];
  const ours = config.find(({ rules }) => rules?.[name]);
  if (!parser || !ours) throw new Error(`eslint.config.js has no ${name}`);
  const { plugins = {}, settings = {}, rules = {} } = ours;
  return new ESLint({
    cwd: ROOT,
    overrideConfigFile: true,
    overrideConfig: {
      files: ['**/*.ts'],
      languageOptions: { parser },
      plugins,
      settings,
      rules: { [name]: rules[name] ?? 'off' },
    },
  });
}

describe('the layers', () => {
  test('are the rooms that there are', () => {
    expect(lines.flat().sort()).toEqual(rooms.sort());
  });

  test('refuse an import that runs up or sideways, from every room, and no import that runs down', async () => {
    const eslint = await ruleAlone(LAYERS);
    for (const [height, line] of lines.slice(0, -1).entries()) {
      for (const room of line) {
        const others = rooms.filter((other) => other !== room);
        const below = new Set(lines.slice(0, height).flat());
        // A job can't promote itself, though rollouts are below it.
        if (room === 'jobs') below.delete('rollout');
        const [report] = await eslint.lintText(others.map(importOf).join('\n'), {
          filePath: join(ROOT, 'src', room, 'planted.ts'),
        });
        const refused = report?.messages.map(({ line: at }) => others[at - 1]);
        expect({ room, refused }).toEqual({ room, refused: others.filter((other) => !below.has(other)) });
      }
    }
  });

  test('refuse a circle of two files and of three, also where an import is of types alone', async () => {
    const eslint = await ruleAlone(CIRCLES);
    const refused = async (file: string, text: string): Promise<string[]> => {
      const [report] = await eslint.lintText(text, { filePath: join(ROOT, 'src', file) });
      return report?.messages.map(({ message }) => message) ?? [];
    };
    // gate/fence.ts and postgres/pool.ts import kernel/errors.ts; gate/write-path.ts imports gate/fence.ts.
    expect(await refused('kernel/errors.ts', "import type { X } from '../postgres/pool.js';")).toEqual([
      'files import each other in a circle: kernel/errors.ts → postgres/pool.ts → kernel/errors.ts',
    ]);
    const [third] = await refused('kernel/errors.ts', "export type { X } from '../gate/write-path.js';");
    expect(third).toMatch(/^files import each other in a circle: kernel\/errors.ts → gate\/write-path.ts → /);
    expect(await refused('gate/fence.ts', "import { X } from '../kernel/errors.js';")).toEqual([]);
  });
});
