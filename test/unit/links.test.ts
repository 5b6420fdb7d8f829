import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The files of a folder, as paths from the root. */
function filesIn(folder: string, ending: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => join(folder, file))
    .filter((file) => ending.test(file) && !file.includes('node_modules'));
}

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const pages = [
  ...readdirSync(ROOT).filter((file) => file.endsWith('.md')),
  ...filesIn('docs', /\.md$/),
  ...filesIn('bench', /\.md$/),
].sort();

/** What stands in a page outside its blocks of code. */
function prose(page: string): string {
  return read(page).replace(/^ *```[^]*?^ *```$/gm, '');
}

/** The anchors that GitHub makes of a page's headings. */
function anchorsOf(page: string): string[] {
  return [...prose(page).matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** The links of a page that lead nowhere: to a file that is not there, or to a heading that its page has not. */
function deadLinks(page: string): string[] {
  return [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path));
      if (!existsSync(join(ROOT, file))) return true;
      return anchor !== undefined && !anchorsOf(file).includes(anchor);
    });
}

/** A pattern as a shell reads it: `*` within a folder's name, `{a,b}` for either; a folder stands for itself. */
function patternOf(path: string): RegExp {
  const text = path
    .replaceAll('.', '\\.')
    .replaceAll('*', '[^/]*')
    .replace(/\{([^}]*)\}/g, (_, either: string) => `(${either.replaceAll(',', '|')})`);
  return new RegExp(`^${text}/?$`);
}

describe('the pages', () => {
  test.each(pages)('%s has no link that leads nowhere', (page) => {
    expect(deadLinks(page)).toEqual([]);
  });

  test('name only tests that there are', () => {
    const named = pages.flatMap((page) =>
      [...read(page).matchAll(/`(test\/[\w./*{},-]+)`/g)].map(([, path = '']) => ({ page, path })),
    );
    const there = filesIn('test', /./);
    const missing = named.filter(({ path }) => !there.some((file) => patternOf(path).test(file)));
    expect(missing).toEqual([]);
    expect(named.length).toBeGreaterThan(10);
  });

  test('can all be reached from the README', () => {
    const reached = new Set(['README.md']);
    for (const page of reached) {
      for (const [, target = ''] of prose(page).matchAll(/\]\(([^)\s#]+\.md)(?:#[^)]*)?\)/g)) {
        const file = relative(ROOT, join(ROOT, dirname(page), target));
        if (pages.includes(file)) reached.add(file);
      }
    }
    expect(pages.filter((page) => !reached.has(page))).toEqual([]);
  });
});

test('what the program, its alerts, its dashboards and its tests name of docs/ is there', () => {
  const files = [
    ...filesIn('src', /\.(ts|sql)$/),
    ...filesIn('test', /\.(ts|mjs)$/),
    ...filesIn('dashboards', /\.(ts|yml|json)$/),
    ...filesIn('bench', /\.ts$/),
    ...['eslint.config.js', 'Dockerfile', 'compose.yaml'],
  ];
  const dead = files.flatMap((file) =>
    [...read(file).matchAll(/docs\/[\w./-]+\.md/g)]
      .filter(([path]) => !existsSync(join(ROOT, path)))
      .map(([path]) => `${file}: ${path}`),
  );
  expect(dead).toEqual([]);
});
