import type pg from 'pg';
import type { InstalledJob } from '#dist/worker/registry.js';
import { openPool } from '#dist/postgres/pool.js';
import type { BenchDatabase } from './server.js';
import { openWorker, type BenchWorker } from './worker.js';

/** Does `work` on a database that is made for it, and dropped behind it. */
export async function onCopy<T>(
  copy: Promise<BenchDatabase>,
  work: (database: BenchDatabase) => Promise<T>,
): Promise<T> {
  const database = await copy;
  try {
    return await work(database);
  } finally {
    await database.drop();
  }
}

/** The same, with a worker of the job on that database. */
export function withWorker<T>(
  copy: Promise<BenchDatabase>,
  job: InstalledJob,
  work: (worker: BenchWorker, database: BenchDatabase) => Promise<T>,
): Promise<T> {
  return onCopy(copy, async (database) => {
    const worker = await openWorker(database, job);
    try {
      return await work(worker, database);
    } finally {
      await worker.close();
    }
  });
}

/** The same, with nothing but a pool. */
export function byHand<T>(
  copy: Promise<BenchDatabase>,
  login: 'ownerUrl' | 'workerUrl',
  work: (pool: pg.Pool, database: BenchDatabase) => Promise<T>,
): Promise<T> {
  return onCopy(copy, async (database) => {
    const pool = openPool(database[login], { name: 'bench by hand' });
    try {
      return await work(pool, database);
    } finally {
      await pool.end();
    }
  });
}
