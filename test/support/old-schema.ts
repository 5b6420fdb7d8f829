import { readFile } from 'node:fs/promises';
import type pg from 'pg';

/** The migrations of the first release, 649074b. */
const RELEASED = [
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

/** Makes a database that the first release has migrated out of one that this program has. */
export async function goBackToFirstRelease(owner: pg.Pool): Promise<void> {
  await owner.query(
    'drop schema portcullis_control, portcullis_region, portcullis_guard, portcullis_store, directory cascade',
  );
  for (const name of RELEASED) await owner.query(await readFile(new URL(`${name}.sql`, FOLDER), 'utf8'));
}
