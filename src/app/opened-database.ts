import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import type { Poller } from '../kernel/poller.js';
import { PortcullisError, messageOf } from '../kernel/errors.js';
import { unknownName } from '../kernel/unknown-name.js';
import type { Purpose } from '../cli/app-port.js';
import type { DatabaseSetup } from '../postgres/logins.js';
import { KillPool } from '../containment/kill-pool.js';
import { openPlannerDatabase, type Planner, type PlannerPool } from '../worker/planner-database.js';
import type { KnownJob, LoadedJob } from '../worker/registry.js';
import type { RegionDatabase } from '../regions/region-database.js';
import { connectionsOf, type Connections } from '../postgres/connections.js';
import { loginUrl, provisionLogins, rolesGiven, type GivenLogins, type Login } from '../postgres/logins.js';
import {
  migrate,
  outdated,
  readInstalled,
  readSchema,
  requireCurrent,
  toMigrate,
  type JobSchema,
  type SchemaKind,
  type Schema,
} from '../postgres/migrate.js';
import { checkReachable, openPool } from '../postgres/pool.js';

const TRY_AGAIN_MS = 1_000;

/** How long a look waits for a table that somebody has locked, such as a migration that stands still midway. */
const LOOK_LOCK_S = 2;

interface Opened {
  readonly workerUrl: string;
  readonly worker: pg.Pool;
  readonly planner: PlannerPool | PortcullisError;
}

/** A database that regions stand in, and what it is opened for. */
export interface OpenedDatabaseOptions {
  /** How people know it. */
  readonly name: string;
  /** The owner's URL. */
  readonly url: string;
  readonly schemas: readonly SchemaKind[];
  readonly given: GivenLogins;
  /** The jobs of this program. */
  readonly jobs: () => Promise<readonly KnownJob[]>;
  readonly purpose: Purpose;
  readonly concurrentRuns: number;
}

/**
 * A database that regions stand in. Its owner's login is there at once; the others once the database has been
 * reached and found fit for the purpose: `serve` brings it to this program's schema and makes its logins, `change`
 * refuses one whose schema is another, `look` takes it as it is and reads as the owner, and `kill` asks nothing.
 * Until then whoever asks for them is told why with DATABASE_UNREACHABLE, and it is tried again and again.
 */
export class OpenedDatabase implements RegionDatabase, DatabaseSetup {
  readonly name: string;
  readonly url: string;
  readonly given: GivenLogins;
  readonly owner: pg.Pool;
  readonly kills: pg.Pool;
  readonly #holding: Poller | undefined;
  readonly #most: Connections;
  #schema: Schema | undefined;
  #opened: Opened | undefined;
  #why = '';
  readonly #jobs = new Map<string, Promise<LoadedJob>>();
  #jobSchemas: readonly JobSchema[] = [];
  #preparing: Promise<void> | undefined;
  #told: () => void = () => undefined;
  /** Resolves when the database was first tried to be opened, whatever came of it. */
  readonly tried = new Promise<void>((resolve) => (this.#told = resolve));
  readonly #closing = new AbortController();

  constructor(private readonly options: OpenedDatabaseOptions) {
    const { name, url, schemas, given } = options;
    this.name = name;
    this.url = url;
    this.given = given;
    this.#most = connectionsOf(options.concurrentRuns, schemas.includes('control'));
    this.#why = `${name} has not been reached yet`;
    // Whoever looks cannot write, by whatever mistake, and waits for nobody's lock for long.
    const looking = options.purpose === 'look' ? { readOnly: true, lockTimeoutS: LOOK_LOCK_S } : {};
    this.owner = openPool(url, { name: `owner of ${name}`, max: this.#most.owner, ...looking });
    const kills = options.purpose === 'serve' ? new KillPool(url, name) : undefined;
    this.kills = kills ?? this.owner;
    this.#holding = kills?.hold();
  }

  get worker(): pg.Pool {
    return this.#required.worker;
  }

  /** Shown to nobody: it has a password. */
  get workerUrl(): string {
    return this.#required.workerUrl;
  }

  get planner(): Planner {
    const { planner } = this.#required;
    if (planner instanceof PortcullisError) throw planner;
    return planner;
  }

  async job(name: string): Promise<LoadedJob> {
    if (!this.open) throw this.#unreached();
    const known = this.#jobs.get(name);
    if (known) return known;
    // What checks and digests a job's code is loaded where there is a job: a kill loads none.
    const { checkJob } = await import('../worker/registry.js');
    const jobs = await this.options.jobs();
    const job = jobs.find(({ definition }) => definition.name === name);
    if (job === undefined) {
      const names = jobs.map(({ definition }) => definition.name);
      throw unknownName('JOB_UNKNOWN', 'job', name, names);
    }
    const loading = this.#bring(job)
      .then(() => rolesGiven(this.given))
      .then((roles) => checkJob(this.owner, job, roles));
    this.#jobs.set(name, loading);
    // Asked again, it is checked again: the database may have been migrated by then.
    loading.catch(() => this.#jobs.delete(name));
    return loading;
  }

  /** What it holds, or is to hold: Portcullis' own schema, and the tables of jobs that were named by {@link brings}. */
  get schemas(): readonly SchemaKind[] {
    return [...this.options.schemas, ...this.#jobSchemas];
  }

  /** Says which jobs' tables are to be set up here, besides those of jobs that were before. */
  async brings(names: readonly string[]): Promise<void> {
    const { schemaOf } = await import('../worker/registry.js');
    const before = await readInstalled(this.owner);
    const wanted = new Set([...names, ...before.map(({ job }) => job)]);
    this.#jobSchemas = (await this.options.jobs()).flatMap(({ definition }) =>
      wanted.has(definition.name) ? (schemaOf(definition) ?? []) : [],
    );
  }

  /** Whoever serves a job makes the tables that it brings; anybody else is told that they are not there. */
  async #bring({ definition }: KnownJob): Promise<void> {
    const { schemaOf } = await import('../worker/registry.js');
    const schema = schemaOf(definition);
    if (schema === undefined) return;
    try {
      const missing = toMigrate(await readSchema(this.owner, [schema]));
      if (missing.length === 0) return;
      if (this.options.purpose === 'serve') {
        await migrate(this.owner, [schema]);
        await provisionLogins(this.owner, this.options.schemas, this.given);
        return;
      }
      throw new PortcullisError(
        'JOB_INVALID',
        `${definition.name}: ${missing.length} of its migrations have not run in ${this.name}, ${missing[0]?.name ?? ''} first`,
        { hint: 'run portcullis migrate (with --sql it prints the SQL instead)' },
      );
    } catch (error) {
      // One job's own fault: it keeps none of the others from being served.
      if (!(error instanceof PortcullisError) || error.code !== 'MIGRATION_CHANGED') throw error;
      throw new PortcullisError('JOB_INVALID', `${definition.name}: ${error.message}`, {
        ...(error.hint !== undefined && { hint: error.hint }),
        cause: error,
      });
    }
  }

  get open(): boolean {
    return this.#opened !== undefined;
  }

  /** As it was found when the database was reached; absent before. */
  get schema(): Schema | undefined {
    return this.#schema;
  }

  loginUrl(login: Login): Promise<string> {
    return loginUrl(this.owner, this.url, login, this.given);
  }

  /** Opens the database now. Throws what keeps it from being opened. */
  async openNow(): Promise<void> {
    if (this.#opened) return;
    try {
      this.#opened = await this.#open();
    } catch (error) {
      this.#why = messageOf(error);
      throw error;
    } finally {
      this.#told();
    }
  }

  /** Tries to open the database until it is open, or closed again. Safe to call at any time. */
  async prepare(): Promise<void> {
    this.#preparing ??= this.#prepare().finally(() => (this.#preparing = undefined));
    await this.#preparing;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    // An attempt under way ends with its connection.
    const opened = this.#opened;
    this.#opened = undefined;
    void this.#holding?.stop();
    const pools = new Set([this.owner, this.kills, ...(opened ? [opened.worker] : [])]);
    await Promise.all([
      ...[...pools].map((pool) => pool.end()),
      ...(opened && 'close' in opened.planner ? [opened.planner.close()] : []),
    ]);
    await this.#preparing;
  }

  async #prepare(): Promise<void> {
    const { signal } = this.#closing;
    while (!this.#opened && !signal.aborted) {
      await this.openNow().catch(() =>
        setTimeout(TRY_AGAIN_MS, undefined, { signal }).catch(() => undefined),
      );
    }
  }

  async #open(): Promise<Opened> {
    const { owner, url, name, given } = this;
    const { purpose, schemas } = this.options;
    await checkReachable(owner, url);
    if (purpose === 'serve') {
      await migrate(owner, schemas);
      await provisionLogins(owner, schemas, given);
    }
    this.#schema = await readSchema(owner, schemas);
    if (purpose === 'look') return this.#openToLook(this.#schema);
    if (purpose === 'change') requireCurrent(this.#schema, name);
    const workerUrl = await this.loginUrl('worker');
    const plannerUrl = await this.loginUrl('planner');
    this.#closing.signal.throwIfAborted();
    return {
      workerUrl,
      worker: openPool(workerUrl, { name: 'worker', max: this.#most.worker }),
      planner: openPlannerDatabase(plannerUrl, this.#most.planner),
    };
  }

  /** On whatever schema there is: whoever looks is told which, and shown what can be shown. */
  async #openToLook(schema: Schema): Promise<Opened> {
    const { owner, url, name } = this;
    if (schema.standing === 'empty') throw outdated(schema, name);
    const planner = await this.loginUrl('planner').catch((error: unknown) => {
      if (error instanceof PortcullisError) return error;
      throw error;
    });
    this.#closing.signal.throwIfAborted();
    return {
      workerUrl: url,
      worker: owner,
      planner: typeof planner === 'string' ? openPlannerDatabase(planner, 1) : planner,
    };
  }

  get #required(): Opened {
    if (this.#opened) return this.#opened;
    throw this.#unreached();
  }

  #unreached(): PortcullisError {
    return new PortcullisError('DATABASE_UNREACHABLE', this.#why, {
      hint: 'check that the server runs and can be reached from here; it is tried again all the time',
    });
  }
}
