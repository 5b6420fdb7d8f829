import { createHash } from 'node:crypto';
import type pg from 'pg';
import { ensureAdminToken } from '../../src/access/admin-token.js';
import type { Principal, Role } from '../../src/access/roles.js';
import { issueToken, type IssuedToken, type TokenRequest } from '../../src/access/tokens.js';
import { temporaryFolder } from './portcullis.js';

/** The id of the person of that name, in every test. */
export function personId(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** A person who acts with a token of their own. */
export function person(name: string, role: Role, regions: readonly string[] | null = null): Principal {
  const id = personId(name);
  return { name, role, regions, person: { id, name }, hands: [id] };
}

/** A home folder with the token of the first person, whom this adds. */
export async function adminHome(owner: pg.Pool): Promise<string> {
  const home = await temporaryFolder();
  await ensureAdminToken(owner, home);
  return home;
}

/**
 * A token of a person of that name, whom nobody among the others introduced and who redeemed their code long ago; a
 * worker's is a machine's.
 */
export async function tokenOf(
  pool: pg.Pool,
  { name, role, regions, replace }: Omit<TokenRequest, 'owner'>,
): Promise<IssuedToken> {
  if (role === 'worker' || role === 'deployer')
    return issueToken(pool, { name, role, regions, replace, owner: 'machine' }, TEST);
  const { hands } = person(name, role);
  await pool.query(
    `insert into portcullis_control.person (id, name, role, added_by, known_by, known_since)
     values ($1, $2, $3, 'test', 'code', clock_timestamp() - interval '1 day') on conflict do nothing`,
    [personId(name), name, role],
  );
  const by = { name: 'test', hands };
  return issueToken(pool, { name, role, regions, replace, owner: { person: name } }, by);
}

const TEST = { name: 'test' };
