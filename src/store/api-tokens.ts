import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { PortcullisError } from '../base/errors.js';

export interface IssuedToken {
  readonly id: string;
  /** Shown this once: the database keeps only its hash. */
  readonly token: string;
}

/** Whose token it was; the name is what the record of a change carries. */
export interface TokenHolder {
  readonly id: string;
  readonly name: string;
}

export interface TokenFacts {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  readonly lastUsedAt: string | null;
  readonly revokedAt: string | null;
}

/** Lets scanners for leaked secrets, and our own logs, know one by its looks. */
const PREFIX = 'pcl_';
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

/**
 * Makes a token of 256 random bits under `name`. A name is given once, so that a line in the record means one
 * holder; `replace` ends the token of that name, if there is one, and puts the new one in its place at once.
 * Throws TOKEN_NAME_TAKEN, or TOKEN_NAME_INVALID.
 */
export async function issueToken(
  pool: pg.Pool,
  name: string,
  options: { readonly replace?: boolean } = {},
): Promise<IssuedToken> {
  if (!NAME.test(name)) {
    throw new PortcullisError('TOKEN_NAME_INVALID', `${JSON.stringify(name)} cannot name a token`, {
      mend: 'use 1 to 64 letters, digits, dots, hyphens, underscores or @, beginning with a letter or digit',
    });
  }
  const id = randomUUID();
  const token = PREFIX + randomBytes(32).toString('base64url');
  const replacing = `do update set id = excluded.id, sha256 = excluded.sha256, created_at = clock_timestamp(),
                            last_used_at = null, revoked_at = null`;
  const { rowCount } = await pool.query(
    `insert into portcullis_control.api_token (id, name, sha256) values ($1, $2, $3)
     on conflict (name) ${options.replace === true ? replacing : 'do nothing'}`,
    [id, name, hashOf(token)],
  );
  if (rowCount === 0) {
    throw new PortcullisError('TOKEN_NAME_TAKEN', `there is, or was, a token named ${name}`, {
      mend: 'choose another name, or replace that token',
      details: { name },
    });
  }
  return { id, token };
}

/**
 * The holder of a token, or undefined where it is unknown or revoked. `last_used_at` is moved at most once a
 * minute, so that a busy client does not turn every read into a write.
 *
 * The time this takes tells nothing: the database compares hashes, and whoever guesses cannot choose a hash
 * that shares a prefix with a stored one. Hashing needs no salt or stretching, since the token is 256 random
 * bits and not a password.
 */
export async function verifyToken(pool: pg.Pool, token: string): Promise<TokenHolder | undefined> {
  const { rows } = await pool.query<{ id: string; name: string }>(
    `with holder as (
       select id, name, last_used_at from portcullis_control.api_token
       where sha256 = $1 and revoked_at is null
     ), touched as (
       update portcullis_control.api_token as used set last_used_at = clock_timestamp()
       from holder
       where used.id = holder.id
         and (holder.last_used_at is null or holder.last_used_at < clock_timestamp() - interval '1 minute')
     )
     select id, name from holder`,
    [hashOf(token)],
  );
  return rows[0];
}

/** Ends a token at once. Revoking one that is already revoked changes nothing. Throws TOKEN_UNKNOWN. */
export async function revokeToken(pool: pg.Pool, name: string): Promise<void> {
  const { rowCount } = await pool.query(
    `update portcullis_control.api_token set revoked_at = coalesce(revoked_at, clock_timestamp())
     where name = $1`,
    [name],
  );
  if (rowCount === 0) {
    throw new PortcullisError('TOKEN_UNKNOWN', `there is no token named ${name}`, { details: { name } });
  }
}

/** Every token ever issued, by name. Never the token itself: nobody has it but its holder. */
export async function listTokens(pool: pg.Pool): Promise<TokenFacts[]> {
  const { rows } = await pool.query<{
    id: string;
    name: string;
    created_at: Date;
    last_used_at: Date | null;
    revoked_at: Date | null;
  }>('select id, name, created_at, last_used_at, revoked_at from portcullis_control.api_token order by name');
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    createdAt: row.created_at.toISOString(),
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
    revokedAt: row.revoked_at?.toISOString() ?? null,
  }));
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
