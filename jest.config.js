/** Six kinds of test, from pure to whole; `npx jest --selectProjects unit` runs one kind. */
const kind = (name, needsDatabase) => ({
  displayName: name,
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': ['$1.ts', '$1.js'] },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  ...(needsDatabase && {
    globalSetup: '<rootDir>/test/support/start-postgres.js',
    globalTeardown: '<rootDir>/test/support/stop-postgres.js',
  }),
});

export default {
  testTimeout: 30_000,
  projects: [
    kind('unit', false),
    kind('db', true),
    kind('race', true),
    kind('contract', true),
    kind('http', true),
    kind('real', true),
  ],
};
