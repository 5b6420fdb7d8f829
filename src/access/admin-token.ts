import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { ADMIN_NAME } from './roles.js';
import { issueToken, listTokens } from './tokens.js';

/** The file in Portcullis' own folder that has the admin's token. */
function fileIn(home: string): string {
  return join(home, 'admin-token');
}

/** Where the admin's token stands. */
export interface AdminToken {
  readonly file: string;
  /** `missing`: it was issued before, and this folder has no file with it. */
  readonly standing: 'there' | 'new' | 'missing';
}

/**
 * The file with the admin's token, readable by its owner alone. The first start on a database makes it. No later one
 * does, nor ends a token: where the file is gone, or another folder has it, a person says what becomes of the token
 * (docs/runbooks/lost-admin-token.md).
 */
export async function ensureAdminToken(control: pg.Pool, home: string): Promise<AdminToken> {
  const file = fileIn(home);
  const there = await stat(file).then(
    ({ size }) => size > 0,
    () => false,
  );
  if ((await listTokens(control)).some(({ name }) => name === ADMIN_NAME)) {
    return { file, standing: there ? 'there' : 'missing' };
  }
  const kept = await issueToken(control, { name: ADMIN_NAME, role: 'admin' }, 'system:start', (token) =>
    // On a full disk the file cannot be written: then the token is not issued either.
    writeFile(file, `${token}\n`, { mode: 0o600 }),
  ).catch((error: unknown) => {
    // Another process has issued it in this moment.
    if ((error as { code?: unknown }).code === 'TOKEN_NAME_TAKEN') return undefined;
    throw error;
  });
  return { file, standing: kept === undefined ? 'missing' : 'new' };
}

/** The admin's token, or undefined where there is no such file or this user may not read it. */
export async function readAdminToken(home: string): Promise<string | undefined> {
  return readFile(fileIn(home), 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
}
