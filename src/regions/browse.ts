import { PortcullisError } from '../kernel/errors.js';
import { gatesBy, type GateFilter, type GateView } from '../gate/browse-gates.js';
import { asOf, type AsOf } from '../journal/as-of.js';
import type { Subject } from '../worker/subject.js';
import { countHeld, findRun, runsBy, type RunFilter, type RunView } from '../runs/browse-runs.js';
import { mergedPage, type Page, type PageRequest } from '../postgres/page.js';
import { queryRegions, type UnreachableDatabase } from './query-regions.js';
import type { RegionDatabase, RegionDatabases } from './region-database.js';

/** A page out of every region database. What lies in one that could not be asked is not in it. */
export interface RegionsPage<Item> extends Page<Item> {
  readonly unreachable: readonly UnreachableDatabase[];
}

/** Runs of every region database, newest first. Throws REQUEST_INVALID for a cursor that is not of this list. */
export async function listRunsOf(
  regionDatabases: RegionDatabases,
  filter: RunFilter,
  page: PageRequest,
): Promise<RegionsPage<RunView>> {
  const list = runsBy(filter);
  const { answers, unreachable } = await queryRegions(regionDatabases, ({ worker }) =>
    list.rows(worker, page),
  );
  const parts = answers.map(({ answer }) => answer);
  return { ...mergedPage(parts, list, page), unreachable };
}

/** How many held runs there are since a moment, or at all, in the region databases that answer; see `countHeld`. */
export async function countHeldOf(
  regionDatabases: RegionDatabases,
  filter: RunFilter,
  since: string | undefined,
): Promise<number> {
  const { answers } = await queryRegions(regionDatabases, ({ worker }) => countHeld(worker, filter, since));
  return answers.reduce((sum, { answer }) => sum + answer, 0);
}

/**
 * Gates of every region database, by job and region. One that lies where its region no longer is stays out.
 * Throws REQUEST_INVALID for a cursor that is not of this list.
 */
export async function listGatesOf(
  regionDatabases: RegionDatabases,
  filter: GateFilter,
  page: PageRequest,
): Promise<RegionsPage<GateView>> {
  const list = gatesBy(filter);
  const { answers, unreachable } = await queryRegions(regionDatabases, async (regionDatabase) =>
    (await list.rows(regionDatabase.worker, page)).map((row) => ({
      row,
      here: regionDatabases.of(row.region) === regionDatabase,
    })),
  );
  const merged = mergedPage(
    answers.map(({ answer }) => answer),
    {
      // Of two with one key the true one comes first: a page that ends between them has it.
      compare: (one, other) => list.compare(one.row, other.row) || Number(other.here) - Number(one.here),
      item: (each) => each,
      keyOf: ({ row }) => list.keyOf(row),
    },
    page,
  );
  const items = merged.items.flatMap(({ row, here }) => (here ? [list.item(row)] : []));
  return { items, next: merged.next, unreachable };
}

/** A run, and the region database that it lies in. */
export interface FoundRun {
  readonly run: RunView;
  readonly regionDatabase: RegionDatabase;
}

/**
 * Finds a run by its id, or the beginning of one, in whichever region database it lies. Throws what `findRun`
 * throws; and DATABASE_UNREACHABLE where it may lie in one that could not be asked.
 */
export async function findRunOf(regionDatabases: RegionDatabases, idOrPrefix: string): Promise<FoundRun> {
  const { answers, unreachable } = await queryRegions(regionDatabases, async ({ worker }) => {
    try {
      return { run: await findRun(worker, idOrPrefix) };
    } catch (error) {
      if (error instanceof PortcullisError && error.code === 'RUN_UNKNOWN') return { unknown: error };
      throw error;
    }
  });
  const found = answers.flatMap(({ regionDatabase, answer: { run } }) =>
    run ? [{ run, regionDatabase }] : [],
  );
  const [first, second] = found;
  if (second !== undefined) {
    throw new PortcullisError('RUN_AMBIGUOUS', `several runs begin with ${idOrPrefix}`, {
      hint: 'give more of the id',
      details: { id: idOrPrefix, candidates: found.map(({ run }) => run.runId) },
    });
  }
  if (first) return first;
  if (unreachable.length > 0) {
    const where = unreachable.map(({ database, reason }) => `${database}: ${reason}`).join('; ');
    throw new PortcullisError(
      'DATABASE_UNREACHABLE',
      `no run's id begins with ${idOrPrefix} in the region databases that answer; ${where}`,
      { hint: 'try again once every region database can be reached', details: { unreachable } },
    );
  }
  throw answers[0]?.answer.unknown ?? new Error('there is no region database');
}

/**
 * A row as it was at a moment, from the region database that knows it: of the named region, or whichever of the job's
 * regions; undefined: of all regions.
 * Throws REQUEST_INVALID where several have such a row and no region is named, DATABASE_UNREACHABLE where none
 * of those that answer has it and one does not answer.
 */
export async function asOfIn(
  regionDatabases: RegionDatabases,
  subject: Subject,
  regions: readonly string[] | undefined,
  at: Date,
  region: string | undefined,
): Promise<AsOf> {
  const { job, resource, key } = subject;
  const name = `${job}/${resource}`;
  const here = async (regionDatabase: RegionDatabase): Promise<AsOf> => {
    const shape = (await regionDatabase.job(job)).shapes.get(resource);
    if (shape === undefined) throw new Error(`${job} has no resource ${resource}`);
    return asOf(regionDatabase.worker, { job, shape, key }, at);
  };
  if (region !== undefined) return here(regionDatabases.of(region));
  // Only where the job is: another database may have none of its tables.
  const placed = regions && [...new Set(regions.map((each) => regionDatabases.of(each)))];
  const asked = {
    of: (each: string) => regionDatabases.of(each),
    all: () => placed ?? regionDatabases.all(),
  };
  const { answers, unreachable } = await queryRegions(asked, here);
  const known = answers.filter(({ answer: { from, image } }) => from !== 'row-now' || image !== null);
  if (known.length > 1) {
    const databases = known.map(({ regionDatabase: { name } }) => name);
    throw new PortcullisError(
      'REQUEST_INVALID',
      `${name} ${key} is in several databases: ${databases.join(', ')}`,
      { hint: 'name the region that is meant', details: { databases } },
    );
  }
  const [only] = known;
  if (only) return only.answer;
  const [silent] = unreachable;
  const [first] = answers;
  if (silent || !first) {
    throw new PortcullisError(
      'DATABASE_UNREACHABLE',
      `no region database that answers has ${name} ${key}; ${silent?.database ?? ''}: ${silent?.reason ?? ''}`,
      { hint: 'try again once every region database can be reached', details: { unreachable } },
    );
  }
  return first.answer;
}
