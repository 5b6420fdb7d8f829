import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { inTransaction } from '../postgres/pool.js';
import { ensurePerson } from './people.js';
import { ADMIN_NAME } from './roles.js';
import { listTokens, putToken, type IssuedToken } from './tokens.js';

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
  const kept = await makeAdminToken(control, 'first-start', 'system:start', (token) =>
    // On a full disk the file cannot be written: then the token is not issued either.
    writeFile(file, `${token}\n`, { mode: 0o600 }),
  ).catch((error: unknown) => {
    // Another process has issued it in this moment.
    if ((error as { code?: unknown }).code === 'TOKEN_NAME_TAKEN') return undefined;
    throw error;
  });
  return { file, standing: kept === undefined ? 'missing' : 'new' };
}

/**
 * Replaces a lost admin token, for a user who holds the database's login and no token. Whoever approves with it within
 * the hour is refused, and what they approve later shows that it was recovered.
 */
export async function recoverAdminToken(control: pg.Pool, by: string): Promise<IssuedToken> {
  const { rows } = await control.query('select from portcullis_control.person limit 1');
  return makeAdminToken(control, rows.length === 0 ? 'first-start' : 'recovery', by);
}

/** The admin's token, and the person whose it is. Throws TOKEN_NAME_TAKEN on a first start that is none. */
async function makeAdminToken(
  control: pg.Pool,
  knownBy: 'first-start' | 'recovery',
  by: string,
  keep?: (token: string) => Promise<void>,
): Promise<IssuedToken> {
  return inTransaction(control, async (client) => {
    const person = await ensurePerson(client, { name: ADMIN_NAME, role: 'admin', knownBy, by });
    const issued = await putToken(client, {
      ...{ name: ADMIN_NAME, role: 'admin', regions: null, person, hands: [person] },
      replaces: knownBy === 'recovery' ? 'any' : 'none',
    });
    await recordAudit(client, {
      principal: by,
      action: knownBy === 'recovery' ? 'recover-token' : 'issue-token',
      subject: ADMIN_NAME,
      evidence: { id: issued.id, role: 'admin', regions: null, person: ADMIN_NAME },
    });
    await keep?.(issued.token);
    return issued;
  });
}

/** The admin's token, or undefined where there is no such file or this user may not read it. */
export async function readAdminToken(home: string): Promise<string | undefined> {
  return readFile(fileIn(home), 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
}
