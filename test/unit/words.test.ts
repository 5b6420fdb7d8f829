import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import ts from 'typescript';

/**
 * What people read says things in the standard words of the field: messages, help, metrics, dashboards and pages.
 * docs/glossary.md has the words; these are the ones that were retired, each with what to write instead.
 */
const RETIRED: readonly (readonly [RegExp, string])[] = [
  [/\bmend(s|ed|ing)?\b/i, 'fix, hint'],
  [/\blaps(e|es|ed|ing)\b/i, 'expire; lapse is a state of domains alone'],
  [/\bnewcomers?\b/i, 'newly admitted'],
  [/\b(take|takes|taken|took|taking)( \w+)? back\b/i, 'abort, roll back, revoke, restore'],
  [/\b(forsaken|withoutWorker)\b/i, 'orphaned, without a worker'],
  [/\b(teach|teaches|taught|teaching)\b/i, 'accept into the baseline'],
  [/(?<!\bcontrol )\bplanes?\b/i, 'region database'],
  [/\b(anew|afresh)\b/i, 'again'],
  [/\bthat (is|are) none\b|\bis no kind of\b/i, 'invalid'],
  [/\bwish(es|ed)?\b|\bkilled at last\b/i, 'pending kill'],
  [/\b(regionWorkers?|crews?)\b/i, 'region worker, worker supervisor'],
  [/\bby halves\b|\bhalf done\b/i, 'all or nothing'],
  [/\blist first\b|\blate file\b/i, 'truncate, output file'],
  [/\bcannot be asked\b/i, 'does not answer, unreachable'],
  [/\bsurroundings\b/i, 'worker context'],
  [/\b(forlorn|albeit|whence|thereof|hitherto|henceforth|heretofore)\b/i, 'plain English'],
  [/\bbefall(s|en)?\b|\bbefell\b/i, 'happens to'],
  // Sentences that were found hard.
  [/\bto mend\b|\bthings? to know\b/i, '2 problems, 1 warning'],
  [/\bsay why, for whoever\b/i, 'A reason is required.'],
  [/\bcan say by when\b/i, 'permit expiry unknown'],
  [/\bmet an error of its own\b|\bnothing at this address\b/i, 'Internal error; Not found'],
  [/\bhas everything, and its\b/i, 'Rollout complete'],
  [/\bwould never end on these\b/i, 'At this rate the step never completes'],
  [/\bby now; they are for\b/i, 'The policy changed after this rollout began'],
  [/\bhas looked at it yet\b/i, 'No worker serves this region'],
  [/\bname it whole\b/i, 'use the full version'],
  [/\bsays nothing, to see whether\b/i, 'Send a test notification'],
  [/\bgiven up for the next\b/i, 'handing over'],
  [/\bnobody told\b/i, 'No notification sent'],
  [/\bone world after the other\b/i, 'once per safeguard'],
  [/\bthat comes along\b/i, 'bundled'],
  [/\bleft alone\b/i, 'skipped'],
];

/** Where a retired word is the right one: the file, and what it may say. */
const RIGHT: readonly (readonly [RegExp, RegExp])[] = [[/^flags\//, /kind: lapse\b/]];

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

function filesIn(folder: string, ending: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => join(folder, file))
    .filter((file) => ending.test(file) && !file.includes('node_modules'));
}

/** The retired words in texts, each with its place. */
function retiredIn(
  file: string,
  texts: Iterable<{ readonly line: number; readonly text: string }>,
): string[] {
  return [...texts].flatMap(({ line, text }) =>
    RIGHT.some(([where, what]) => where.test(file) && what.test(text))
      ? []
      : RETIRED.filter(([pattern]) => pattern.test(text)).map(
          ([pattern, better]) =>
            `${file}:${line}: ${pattern.exec(text)?.[0] ?? ''} (${better}): ${text.trim()}`,
        ),
  );
}

/** SQL is for the database, not for people. */
const SQL =
  /^\s*(--|\/\*|select|insert|update|delete|with|create|alter|drop|grant|revoke|set|from|where|and|or|order by|join|left join|copy|lock|begin|do|case|on conflict|returning|values|union|limit)\b[^]*(\n|\$\d|[a-z_]+\.[a-z_]+|=)/;

const COLUMNS = /\b[a-z]+_[a-z_]+,/;

/** The texts of a source file: strings and the fixed parts of templates, but for SQL and names of modules. */
function* textsOf(file: string): Iterable<{ line: number; text: string }> {
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true);
  const found: { line: number; text: string }[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
    const text = ts.isTemplateExpression(node)
      ? [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join('…')
      : ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isJsxText(node)
        ? node.text
        : undefined;
    // A single word is a name in the program, unless it is spoken of somewhere.
    if (text?.includes(' ') === true && !SQL.test(text) && !COLUMNS.test(text)) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      found.push({ line: line + 1, text });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  yield* found;
}

/** The lines of a page, without names of files and addresses of links. */
function linesOf(file: string): { line: number; text: string }[] {
  return read(file)
    .split('\n')
    .map((text, at) => ({
      line: at + 1,
      text: text.replace(/\]\([^)]*\)/g, ']').replace(/`[^`\s]*`/g, '`…`'),
    }));
}

describe('retired words are not in', () => {
  test('the messages, help and metrics of src/', () => {
    const files = filesIn('src', /\.tsx?$/);
    expect(files.flatMap((file) => retiredIn(file, textsOf(file)))).toEqual([]);
    expect(files.length).toBeGreaterThan(100);
  });

  test('the platform, as a word of one job: it says units, and what the policy calls them', () => {
    const files = filesIn('src', /\.tsx?$/).filter((file) => !/^src\/(jobs|demo)\//.test(file));
    const found = files.flatMap((file) =>
      [...textsOf(file)].flatMap(({ line, text }) =>
        /\borganisations?\b/i.test(text) &&
        !/such as organisations|One of them:|Several:|what the job's policy calls/.test(text)
          ? [`${file}:${line}: ${text}`]
          : [],
      ),
    );
    expect(found).toEqual([]);
  });

  test('the pages', () => {
    const files = [
      ...readdirSync(ROOT).filter((file) => file.endsWith('.md')),
      ...filesIn('docs', /\.md$/),
      ...filesIn('bench', /\.md$/),
    ];
    expect(files.flatMap((file) => retiredIn(file, linesOf(file)))).toEqual([]);
  });

  test('policies, dashboards and alerts', () => {
    const files = [
      ...filesIn('flags', /\.(yaml|json)$/),
      ...filesIn('dashboards', /\.(yml|yaml|json)$/),
      'compose.yaml',
    ];
    expect(files.flatMap((file) => retiredIn(file, linesOf(file)))).toEqual([]);
  });
});

test('the glossary has fewer than thirty terms, in order', () => {
  const terms = [...read('docs/glossary.md').matchAll(/^\| ([a-z][a-z -]*?) +\|/gm)].map(
    ([, term = '']) => term,
  );
  const [head, ...words] = terms;
  expect(head).toBe('term');
  expect(words.length).toBeLessThan(30);
  expect(words).toEqual([...words].sort());
  expect(words).toContain('fence');
});
