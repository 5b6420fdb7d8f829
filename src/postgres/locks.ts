/**
 * Every advisory lock that Portcullis takes. PostgreSQL keeps those of one number apart from those of two. A number that
 * is released stays: during an upgrade, processes of both versions take it.
 */

/** Locks of one number. */
export const LOCKS = {
  /** Migrations of a database, one process at a time. */
  migration: 7_020_210,
  /** Portcullis' own folder with its embedded server; taken for a session. */
  folder: 7_020_212,
  /** An import of `domain-claim`'s directory. */
  directoryImport: 7_020_214,
  /** The sample world, when it is made. */
  sample: 7_020_215,
  /** The end of the audit log's chain. */
  audit: 7_020_216,
  /** The databases of replays, so that none drops another's; taken for a session. */
  replay: 7_020_217,
  /** The test kit's server, shared by each test that uses it; taken for a session. */
  testServer: 7_020_218,
  /** The process that stops that server; taken for a session. */
  testKeeper: 7_020_219,
  /** The template of tests' databases, when it is made; taken for a session. */
  testTemplate: 7_020_220,
} as const;

/** Locks of two numbers; the second is the hash of a name. */
export const NAMED_LOCKS = {
  /** A gate, by `job.region`: batches share it, and who closes or narrows the gate has it alone. */
  gate: 7_020_210,
  /** Reports of outcomes, by `job.region`. */
  outcomes: 7_020_230,
  /** Judging the versions of a job that bake, by its name. */
  bake: 7_020_231,
  /** Requests for approval, by what they ask for: of the same, one waits. The table's trigger takes it too. */
  request: 7_020_232,
} as const;
