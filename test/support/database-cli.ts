import type pg from 'pg';
import type { TokenRequest } from '../../src/access/tokens.js';
import type { Installation, OpenPlatform, Purpose } from '../../src/cli/app-port.js';
import { EmbeddedSource } from '../../src/flags/embedded-source.js';
import { embeddedDesk } from '../../src/flags/flag-desk.js';
import { PortcullisProvider } from '../../src/flags/provider.js';
import type { WorkerContext } from '../../src/worker/platform.js';
import { FakeApp } from '../unit/cli/fake-app.js';
import { runProgram } from '../unit/cli/run-program.js';
import { oneDatabase } from './one-database.js';
import { temporaryFolder } from './portcullis.js';
import { tokenOf } from './people.js';

/** The made-up app (job `sweep` in two regions) over a real database, which has every region database. */
class DatabaseApp extends FakeApp {
  purpose: Purpose | undefined;

  constructor(
    private readonly owner: pg.Pool,
    private readonly found: Pick<Installation, 'home' | 'flagsFolder'>,
    { token, serverUrl }: As,
  ) {
    super();
    Object.assign(this.settings, { token, serverUrl, flagsFolder: found.flagsFolder });
  }

  override async open(purpose: Purpose): Promise<Installation> {
    this.purpose = purpose;
    const opened = await super.open(purpose);
    const { owner } = this;
    return {
      ...opened,
      ...this.found,
      control: owner,
      regionDatabases: oneDatabase({ ...opened.regionDatabases.of(''), owner, worker: owner }),
      close: () => Promise.resolve(),
    };
  }

  override flags() {
    return Promise.resolve({ ...embeddedDesk(this.owner), close: () => Promise.resolve() });
  }

  /** Flags as a worker hears them, and nothing to run jobs with. */
  override async platform(): Promise<OpenPlatform> {
    const provider = new PortcullisProvider(new EmbeddedSource(this.owner));
    await provider.initialize();
    const nothing = (): never => {
      throw new Error('this test runs nothing');
    };
    return {
      workerContext: { flags: provider } as unknown as WorkerContext,
      platformOf: nothing,
      evaluate: (flag, unit) => provider.evaluateUnit(flag, unit),
      close: () => provider.onClose(),
    };
  }
}

/** Whose token, and in which folder. */
export interface As {
  readonly token?: string;
  readonly home?: string;
  /** What is typed, line by line. */
  readonly typed?: readonly string[];
  /** The server that commands work on, where they work on one. */
  readonly serverUrl?: string;
  /** How wide the terminal is; absent: as wide as anything. */
  readonly columns?: number;
}

export interface Ran {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
  /** For what it opened the database. */
  readonly purpose: Purpose | undefined;
}

export interface DatabaseCli {
  /** Runs a command line in this process, as the real program does. */
  readonly run: (as: As, ...args: string[]) => Promise<Ran>;
  /** A new token. */
  readonly issued: (request: TokenRequest) => Promise<As>;
}

/** The command line over a database. `flagsFolder`: where its policy files are. */
export async function databaseCli(owner: pg.Pool, flagsFolder = '/srv/flags'): Promise<DatabaseCli> {
  const homeless = await temporaryFolder();
  return {
    async run(as, ...args) {
      const app = new DatabaseApp(owner, { home: as.home ?? homeless, flagsFolder }, as);
      return { ...(await runProgram(app, args, as.typed, as.columns)), purpose: app.purpose };
    },
    issued: async (request) => ({ token: (await tokenOf(owner, request)).token }),
  };
}
