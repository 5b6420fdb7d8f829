import { availableParallelism } from 'node:os';

/** Six kinds of test, from pure to whole; `npx jest --selectProjects unit` runs one kind. */
const kind = (name, needsDatabase) => ({
  displayName: name,
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': ['$1.ts', '$1.js'] },
  transform: {
    '^.+\\.ts$': [
      '<rootDir>/test/support/transform.js',
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
  // One more than there are cores: about half of a file's time is waiting, for leases, for processes to start, for the
  // database. More than a few at once starve the processes that the race tests start, and the one PostgreSQL that all
  // of them share.
  maxWorkers: Math.min(4, availableParallelism() + 1),
  testSequencer: '<rootDir>/test/support/sequencer.js',
  // For what hangs: seconds on a machine of its own, and many times that beside others. No test is about it.
  testTimeout: 180_000,
  projects: [
    kind('unit', false),
    kind('db', true),
    kind('race', true),
    kind('contract', true),
    kind('http', true),
    kind('real', true),
  ],
};
