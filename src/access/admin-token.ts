import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { ADMIN_NAME } from './roles.js';
import { issueToken, listTokens } from './tokens.js';

/** The file in Portcullis' own folder that has the admin's token. */
function fileIn(home: string): string {
  return join(home, 'admin-token');
}

/**
 * The file with the admin's token, readable by its owner alone. The first start makes it. Where the file is
 * gone the token is too: the database keeps only its hash, and another is issued in its place.
 */
export async function ensureAdminToken(
  control: pg.Pool,
  home: string,
): Promise<{ readonly file: string; readonly fresh: boolean }> {
  const file = fileIn(home);
  // Empty: a full disk let the file be made, and no more.
  const there = await stat(file).then(
    ({ size }) => size > 0,
    () => false,
  );
  const tokens = there ? await listTokens(control) : [];
  if (tokens.some(({ name, revokedAt }) => name === ADMIN_NAME && revokedAt === null))
    return { file, fresh: false };
  const { token } = await issueToken(
    control,
    { name: ADMIN_NAME, role: 'admin', replace: true },
    'system:start',
  );
  await rm(file, { force: true });
  await writeFile(file, `${token}\n`, { mode: 0o600, flag: 'wx' });
  return { file, fresh: true };
}

/** The admin's token, or undefined where there is no such file or this user may not read it. */
export async function readAdminToken(home: string): Promise<string | undefined> {
  return readFile(fileIn(home), 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
}
