import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';

/** docs/architecture.md says of src/ what is so. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const RULE = 'import-x/no-restricted-paths';
const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
const rooms = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).map(({ name }) =>
  name.replace(/\.ts$/, ''),
);

/** The drawing's lines, the highest first. */
const lines = (/```\n([^]*?)```/.exec(page)?.[1] ?? '')
  .trim()
  .split('\n')
  .map((line) => line.split(/\s+/));

/** The folders that each folder may not import, by eslint.config.js. */
async function forbidden(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  interface Zone {
    readonly target: string;
    readonly from: readonly string[];
    readonly message: string;
  }
  const { href } = new URL('../../eslint.config.js', import.meta.url);
  const { default: config } = (await import(href)) as {
    default: { readonly rules?: Readonly<Record<string, [string, { readonly zones: readonly Zone[] }]>> }[];
  };
  const zones = config.find(({ rules }) => rules?.[RULE])?.rules?.[RULE]?.[1].zones ?? [];
  const name = (path: string): string => path.replace('./src/', '').replace(/\.ts$/, '');
  return new Map(
    zones
      .filter(({ message }) => message.startsWith('imports run downwards only'))
      .map(({ target, from }) => [name(target), new Set(from.map(name))]),
  );
}

describe('the architecture page', () => {
  test('draws every folder of src/ once, and nothing else', () => {
    expect(lines.flat().sort()).toEqual(rooms.sort());
  });

  test('draws them in the order in which eslint.config.js lets them import each other', async () => {
    const zones = await forbidden();
    // What is drawn beside or above a folder is what that folder may not import.
    const drawn = lines.flatMap((line, at) =>
      line.map((room): [string, string[]] => [
        room,
        lines
          .slice(0, at + 1)
          .flat()
          .filter((other) => other !== room)
          .sort(),
      ]),
    );
    const ruled = [...zones].map(([room, others]): [string, string[]] => [room, [...others].sort()]);
    // The top line is what puts all others together: no rule keeps it from importing anything.
    const [top = []] = lines;
    expect(new Map(drawn.filter(([room]) => !top.includes(room)))).toEqual(new Map(ruled));
  });

  test('describes every folder, in the order of the drawing', () => {
    const described = [...page.matchAll(/^\| `(\w+)` +\|/gm)].map(([, room]) => room);
    expect(described).toEqual(lines.flat());
  });

  test('names only files that there are', () => {
    const named = [...page.matchAll(/`((?:src|test)\/[\w./-]+|\w+\.config\.js)`/g)].map(
      ([, path = '']) => path,
    );
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    expect(named.length).toBeGreaterThan(40);
  });

  test('has a file for each step of its sequence, in order', () => {
    const sequence = /```mermaid\n([^]*?)```/.exec(page)?.[1] ?? '';
    const steps = [...sequence.matchAll(/^ +\w-{1,2}>>\w:/gm)].length;
    const rows = [...page.matchAll(/^\| (\d+) +\|[^|]+\| `src\//gm)].map(([, step]) => Number(step));
    expect(rows).toEqual(Array.from({ length: steps }, (_, at) => at + 1));
  });
});
