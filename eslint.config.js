import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';
import { noCircles } from './no-circles.js';

/**
 * Who may import whom (docs/adr/0001-layers.md): a room may import the rooms on lower lines, its own
 * files, and nothing else. Rooms on one line do not know each other.
 */
const layers = [
  ['kernel'],
  ['telemetry'],
  ['postgres'],
  ['audit', 'csv'],
  ['access'],
  ['notify', 'events'],
  ['runs', 'journal', 'flags', 'lookup'],
  ['sdk'],
  ['gate'],
  ['incidents'],
  ['containment'],
  ['guard'],
  ['rollout'],
  ['worker'],
  ['regions'],
  ['doctor'],
  ['operations', 'testing'],
  ['client'],
  ['server', 'cli', 'console'],
  ['jobs'],
  ['demo'],
];

/** A job can't promote itself. */
const ADDED = [{ target: './src/jobs', from: ['./src/rollout'], message: 'a job must not know of rollouts' }];

/** The shipped job is one like another team's: it has the public package, and the look-ups that it brings. */
const SHIPPED_JOB = layers
  .flat()
  .filter((room) => !['sdk', 'lookup', 'jobs'].includes(room))
  .map((room) => ({
    target: './src/jobs/domain-claim',
    from: `./src/${room}`,
    message: 'a job has what the package exports, src/sdk, and src/lookup',
  }));

/**
 * What a database, a role or a pooler may have changed is stated in one place (docs/adr/0020-sessions.md): who
 * begins a transaction of their own, or sets something that outlives it, rests on what they do not know.
 */
const SESSION_STATE = [
  {
    text: /^\s*(begin|start transaction)\s*(;|isolation|read|not|work|transaction|$)/,
    message: 'begin transactions with inTransaction or beginTransaction (src/postgres/pool.ts)',
  },
  {
    text: /^(\n\s*)?(reset |discard |set (session|transaction|time zone|role) |set (?!local )[a-z_.]{4,} (=|to ))/,
    message: 'behind a pooler nothing outlives a transaction: use set local in one',
  },
  {
    text: /set_config\([^)]*,\s*false\s*\)/,
    message: 'behind a pooler nothing outlives a transaction: pass true to set_config',
  },
  {
    text: /\bpg_(try_)?advisory_lock(_shared)?\(/,
    message: 'behind a pooler nobody holds a session: take the transaction-level lock',
  },
].flatMap(({ text, message }) => [
  { selector: `Literal[value=${text}]`, message },
  { selector: `TemplateElement[value.raw=${text}]`, message },
]);

const LOCK_NUMBERS = {
  selector: 'Literal[raw=/^7_?020_?2\\d\\d$/]',
  message: 'every number of an advisory lock stands in src/postgres/locks.ts',
};

const BARE_CONNECTIONS = {
  selector: "NewExpression[callee.object.name='pg'][callee.property.name=/^(Client|Pool)$/]",
  message:
    'open connections with openPool or connectAlone (src/postgres/pool.ts), which give them their settings',
};

const zones = layers.flatMap((rooms, height) =>
  rooms.map((room) => ({
    target: `./src/${room}`,
    from: [
      ...rooms.filter((other) => other !== room),
      ...layers.slice(height + 1).flat(),
      'app',
      'main.ts',
      'config.ts',
    ].map((above) => `./src/${above}`),
    message: 'imports run downwards only: see docs/adr/0001-layers.md',
  })),
);

export default tseslint.config(
  // Examples are packages of their own: test/real/own-job checks their types against the packed package.
  { ignores: ['dist/', 'node_modules/', 'coverage/', '.portcullis/', 'examples/'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    plugins: { 'import-x': importX, ours: { rules: { 'no-circles': noCircles } } },
    settings: {
      'import-x/resolver-next': [
        createNodeResolver({
          extensions: ['.ts', '.tsx', '.js'],
          extensionAlias: { '.js': ['.ts', '.tsx', '.js'] },
        }),
      ],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts', '.tsx'] },
    },
    rules: {
      'import-x/no-restricted-paths': ['error', { zones: [...zones, ...ADDED, ...SHIPPED_JOB] }],
      'ours/no-circles': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    },
  },
  {
    // The browser's code has the browser's types.
    files: ['src/console/**'],
    languageOptions: { parserOptions: { project: './src/console/tsconfig.json' } },
  },
  {
    files: ['src/**/*.ts'],
    rules: { 'no-restricted-syntax': ['error', ...SESSION_STATE, BARE_CONNECTIONS, LOCK_NUMBERS] },
  },
  {
    files: ['src/postgres/pool.ts', 'src/postgres/session.ts', 'src/postgres/locks.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
  {
    // A session's lock, on a connection of their own that no pooler stands in front of.
    files: [
      'src/postgres/folder-lock.ts',
      'src/demo/incident/databases.ts',
      'src/testing/server.ts',
      'src/testing/server-keeper.ts',
      'src/testing/test-database.ts',
    ],
    rules: { 'no-restricted-syntax': ['error', BARE_CONNECTIONS, LOCK_NUMBERS] },
  },
  { files: ['**/*.js', '**/*.mjs'], extends: [tseslint.configs.disableTypeChecked] },
);
