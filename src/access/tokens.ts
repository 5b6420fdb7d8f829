import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../base/errors.js';
import { inTransaction } from '../store/pool.js';
import type { Principal, Role } from './roles.js';

export interface IssuedToken {
  readonly id: string;
  /** Shown this once: the database keeps only its hash. */
  readonly token: string;
}

/** The principal whose token it was. */
export interface TokenHolder extends Principal {
  readonly id: string;
}

export interface TokenFacts extends TokenHolder {
  readonly createdAt: string;
  readonly lastUsedAt: string | null;
  readonly revokedAt: string | null;
}

export interface TokenRequest {
  readonly name: string;
  readonly role: Role;
  /** The only regions that its holder may act in; absent: all. */
  readonly regions?: readonly string[] | undefined;
  /** End the token of that name, if there is one, and put the new one in its place at once. */
  readonly replace?: boolean | undefined;
}

/** Lets scanners for leaked secrets, and our own logs, know one by its looks. */
const PREFIX = 'pcl_';
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
const REGION = /^[a-z0-9][a-z0-9-]*$/;

/**
 * Makes a token of 256 random bits, and puts on the record that `issuedBy` (a principal's name) did. A name is
 * given once, so that a line in the record means one holder. Where `keep` fails, it is not issued. Throws TOKEN_NAME_TAKEN, TOKEN_NAME_INVALID, or
 * REQUEST_INVALID for a region that cannot be one.
 */
export async function issueToken(
  control: pg.Pool,
  { name, role, regions, replace = false }: TokenRequest,
  issuedBy: string,
  keep?: (token: string) => Promise<void>,
): Promise<IssuedToken> {
  refuseNonsense(name, regions);
  const id = randomUUID();
  const token = PREFIX + randomBytes(32).toString('base64url');
  const replacing = `do update set id = excluded.id, sha256 = excluded.sha256, role = excluded.role,
                            regions = excluded.regions, created_at = clock_timestamp(), last_used_at = null,
                            revoked_at = null`;
  await inTransaction(control, async (client) => {
    const { rowCount } = await client.query(
      `insert into portcullis_control.api_token (id, name, sha256, role, regions) values ($1, $2, $3, $4, $5)
       on conflict (name) ${replace ? replacing : 'do nothing'}`,
      [id, name, hashOf(token), role, regions],
    );
    if (rowCount === 0) {
      throw new PortcullisError('TOKEN_NAME_TAKEN', `there is, or was, a token named ${name}`, {
        mend: 'choose another name, or replace that token',
        details: { name },
      });
    }
    await recordAudit(client, {
      principal: issuedBy,
      action: 'issue-token',
      subject: name,
      evidence: { id, role, regions: regions ?? null, replace },
    });
    await keep?.(token);
  });
  return { id, token };
}

function refuseNonsense(name: string, regions: readonly string[] | undefined): void {
  if (!NAME.test(name)) {
    throw new PortcullisError('TOKEN_NAME_INVALID', `${JSON.stringify(name)} cannot name a token`, {
      mend: 'use 1 to 64 letters, digits, dots, hyphens, underscores or @, beginning with a letter or digit',
    });
  }
  const wrong = regions?.find((region) => !REGION.test(region));
  if (wrong !== undefined || regions?.length === 0) {
    throw new PortcullisError('REQUEST_INVALID', `${JSON.stringify(wrong ?? '')} cannot be a region`, {
      mend: 'name regions such as eu-west-1, or none for all of them',
    });
  }
}

/**
 * The principal of a token, or undefined where it is unknown or revoked. `last_used_at` is moved at most once
 * a minute, so that a busy client does not turn every read into a write; `touch: false`: not at all.
 *
 * The time this takes tells nothing: the database compares hashes, and whoever guesses cannot choose a hash
 * that shares a prefix with a stored one. Hashing needs no salt or stretching, since the token is 256 random
 * bits and not a password.
 */
export async function principalOfToken(
  control: pg.Pool,
  token: string,
  { touch = true }: { readonly touch?: boolean } = {},
): Promise<TokenHolder | undefined> {
  if (!touch) {
    const { rows } = await control.query<TokenHolder>(
      `select id, name, role, regions from portcullis_control.api_token where sha256 = $1 and revoked_at is null`,
      [hashOf(token)],
    );
    return rows[0];
  }
  const { rows } = await control.query<TokenHolder>(
    `with holder as (
       select id, name, role, regions, last_used_at from portcullis_control.api_token
       where sha256 = $1 and revoked_at is null
     ), touched as (
       update portcullis_control.api_token as used set last_used_at = clock_timestamp()
       from holder
       where used.id = holder.id
         and (holder.last_used_at is null or holder.last_used_at < clock_timestamp() - interval '1 minute')
     )
     select id, name, role, regions from holder`,
    [hashOf(token)],
  );
  return rows[0];
}

/** Ends a token at once. Throws TOKEN_UNKNOWN, and NOTHING_REACHED where it was revoked already. */
export async function revokeToken(control: pg.Pool, name: string, revokedBy: string): Promise<void> {
  await inTransaction(control, async (client) => {
    const { rows } = await client.query<{ id: string; revoked: boolean }>(
      `select id, revoked_at is not null as revoked from portcullis_control.api_token
       where name = $1 for update`,
      [name],
    );
    const [found] = rows;
    if (found === undefined) {
      throw new PortcullisError('TOKEN_UNKNOWN', `there is no token named ${name}`, { details: { name } });
    }
    if (found.revoked) {
      throw new PortcullisError('NOTHING_REACHED', `the token ${name} was revoked already`, {
        mend: 'portcullis tokens list shows which tokens hold',
        details: { name },
      });
    }
    await client.query(
      'update portcullis_control.api_token set revoked_at = clock_timestamp() where id = $1',
      [found.id],
    );
    await recordAudit(client, {
      principal: revokedBy,
      action: 'revoke-token',
      subject: name,
      evidence: { id: found.id },
    });
  });
}

/** Every token ever issued, by name. Never the token itself: nobody has it but its holder. */
export async function listTokens(control: pg.Pool): Promise<TokenFacts[]> {
  const { rows } = await control.query<
    TokenHolder & { created_at: Date; last_used_at: Date | null; revoked_at: Date | null }
  >(
    `select id, name, role, regions, created_at, last_used_at, revoked_at
     from portcullis_control.api_token order by name`,
  );
  return rows.map(
    ({ created_at: createdAt, last_used_at: lastUsedAt, revoked_at: revokedAt, ...holder }) => ({
      ...holder,
      createdAt: createdAt.toISOString(),
      lastUsedAt: lastUsedAt?.toISOString() ?? null,
      revokedAt: revokedAt?.toISOString() ?? null,
    }),
  );
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
