import { readFile } from 'node:fs/promises';
import type pg from 'pg';

/** The migrations of the first release, 649074b. */
export const RELEASED = [
  ...['control/001-flags', 'control/002-audit', 'control/003-principals', 'control/004-incidents'],
  ...['control/005-trips', 'control/006-notifications', 'control/007-rollouts', 'control/008-bake'],
  'control/009-kill-wishes',
  ...[
    'region/001-runs',
    'region/002-directory',
    'region/003-kills',
    'region/005-guard',
    'region/006-outcomes',
  ],
  ...['region/007-versions-side-by-side', 'region/008-product-use', 'region/009-planned-units'],
  'region/010-newcomers',
];

const FOLDER = new URL('../../src/postgres/migrations/', import.meta.url);

/** Where the files are that were the platform's own then, and are a job's now. */
const MOVED: Readonly<Record<string, string>> = {
  'region/002-directory': '../../jobs/domain-claim/migrations/001-directory',
  'region/008-product-use': '../../jobs/domain-claim/migrations/002-product-use',
};

/** The SQL of one of the first release's migrations, such as `region/001-runs`. */
export function releasedSql(name: string): Promise<string> {
  return readFile(new URL(`${MOVED[name] ?? name}.sql`, FOLDER), 'utf8');
}

/** Makes a database that the first release has migrated out of one that this program has. */
export async function goBackToFirstRelease(owner: pg.Pool): Promise<void> {
  await owner.query(
    'drop schema portcullis_control, portcullis_region, portcullis_guard, portcullis_store, directory cascade',
  );
  for (const name of RELEASED) await owner.query(await releasedSql(name));
}
