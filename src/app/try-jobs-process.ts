import { readConfig } from '../config.js';
import { messageOf, PortcullisError } from '../kernel/errors.js';
import { tryJobs } from './try-jobs.js';

/**
 * A process of its own that tries the jobs once and tells its parent what came of it: modules that were loaded cannot be
 * loaded again, and the jobs' code changes between two tries. Its argument is the configuration file.
 */
const [, , file] = process.argv;
const said = await tryJobs(readConfig(process.env), file === '' ? undefined : file).then(
  (tried) => ({ tried }),
  (error: unknown) => ({
    error: {
      message: messageOf(error),
      ...(error instanceof PortcullisError && { code: error.code, hint: error.hint }),
    },
  }),
);
// What a job's module may keep open does not keep this process.
process.send?.(said, () => process.exit(0));
