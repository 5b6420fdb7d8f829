import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { PortcullisError, messageOf } from '../base/errors.js';
import { openPlannerDatabase, type Planner, type PlannerPool } from '../jobs/planner-database.js';
import { loadJob, type InstalledJob, type LoadedJob } from '../jobs/registry.js';
import type { RegionPlane } from '../planes/region-plane.js';
import { loginUrl, provisionLogins } from '../store/logins.js';
import { migrate, type Plane } from '../store/migrate.js';
import { checkReachable, openPool } from '../store/pool.js';

/** Enough for several runs' lanes, their plans and their leases at once. */
const WORKER_CONNECTIONS = 32;
const PLANNER_CONNECTIONS = 16;
const OWNER_CONNECTIONS = 5;
const TRY_AGAIN_MS = 1_000;

interface Opened {
  readonly workerUrl: string;
  readonly worker: pg.Pool;
  readonly planner: PlannerPool;
  readonly jobs: readonly LoadedJob[];
}

/**
 * A database that regions stand in. Its owner's login is there at once; the others once the database has been
 * reached and brought to this program's schema, its logins provisioned and the jobs checked against it. Until
 * then whoever asks for them is told why with DATABASE_UNREACHABLE, and it is tried again and again.
 */
export class RegionDatabase implements RegionPlane {
  readonly owner: pg.Pool;
  #opened: Opened | undefined;
  #why = '';
  #preparing: Promise<void> | undefined;
  #told: () => void = () => undefined;
  /** Resolves when the database was first tried to be opened, whatever came of it. */
  readonly tried = new Promise<void>((resolve) => (this.#told = resolve));
  readonly #closing = new AbortController();

  constructor(
    readonly name: string,
    readonly url: string,
    private readonly schemas: readonly Plane[],
    private readonly installed: readonly InstalledJob[],
  ) {
    this.#why = `${name} has not been reached yet`;
    this.owner = openPool(url, { name: `owner of ${name}`, max: OWNER_CONNECTIONS });
  }

  get worker(): pg.Pool {
    return this.#required.worker;
  }

  /** Shown to nobody: it has a password. */
  get workerUrl(): string {
    return this.#required.workerUrl;
  }

  get planner(): Planner {
    return this.#required.planner;
  }

  /** The jobs, checked against this database. */
  get jobs(): readonly LoadedJob[] {
    return this.#required.jobs;
  }

  get open(): boolean {
    return this.#opened !== undefined;
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
    await Promise.all([this.owner.end(), opened?.worker.end(), opened?.planner.close()]);
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
    const { owner, url } = this;
    await checkReachable(owner, url);
    await migrate(owner, this.schemas);
    await provisionLogins(owner, this.schemas);
    const workerUrl = await loginUrl(owner, url, 'worker');
    const plannerUrl = await loginUrl(owner, url, 'planner');
    const jobs = await Promise.all(this.installed.map((job) => loadJob(owner, job)));
    this.#closing.signal.throwIfAborted();
    return {
      jobs,
      workerUrl,
      worker: openPool(workerUrl, { name: 'worker', max: WORKER_CONNECTIONS }),
      planner: openPlannerDatabase(plannerUrl, PLANNER_CONNECTIONS),
    };
  }

  get #required(): Opened {
    if (this.#opened) return this.#opened;
    throw new PortcullisError('DATABASE_UNREACHABLE', this.#why, {
      mend: 'check that the server runs and can be reached from here; it is tried again all the time',
    });
  }
}
