import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/**
 * Who may import whom (docs/adr/0001-layers.md): a room may import the rooms on lower lines, its own
 * files, and nothing else. Rooms on one line do not know each other.
 */
const layers = [
  ['base'],
  ['telemetry'],
  ['store'],
  ['audit'],
  ['access'],
  ['notify'],
  ['scheduler', 'journal', 'flags'],
  ['gate'],
  ['incidents'],
  ['guard'],
  ['rollout'],
  ['jobs'],
  ['planes'],
  ['directory', 'replay'],
  ['http', 'cli'],
];

/** A job can't promote itself. */
const ADDED = [{ target: './src/jobs', from: ['./src/rollout'], message: 'a job must not know of rollouts' }];

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
  { ignores: ['dist/', 'node_modules/', 'coverage/', '.portcullis/'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    plugins: { 'import-x': importX },
    settings: {
      'import-x/resolver-next': [
        createNodeResolver({ extensions: ['.ts', '.js'], extensionAlias: { '.js': ['.ts', '.js'] } }),
      ],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
    },
    rules: {
      'import-x/no-restricted-paths': ['error', { zones: [...zones, ...ADDED] }],
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }],
    },
  },
  { files: ['**/*.js', '**/*.mjs'], extends: [tseslint.configs.disableTypeChecked] },
);
