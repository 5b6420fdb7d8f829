import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { nearest } from '../kernel/nearest.js';
import { inTransaction } from '../postgres/pool.js';
import type { Principal, Role } from './roles.js';

export interface IssuedToken {
  readonly id: string;
  /** Shown this once: the database keeps only its hash. */
  readonly token: string;
  /** ISO 8601 in UTC; absent: it holds until it is revoked. */
  readonly expiresAt?: string | undefined;
}

/** The principal whose token it was. */
export interface TokenHolder extends Principal {
  readonly id: string;
  /** Verified earlier: the control database does not answer now. Good for a kill, and for reading what regions answer. */
  readonly remembered?: true;
  /** The session that acts; absent: the token itself came. */
  readonly session?:
    | {
        readonly id: string;
        /** ISO 8601 in UTC. */
        readonly expiresAt: string;
        /** How long that was when the session was verified, by the database's clock. */
        readonly leftMs: number;
        /** There is no token, and the holder's `id` is the person's. */
        readonly byProvider: boolean;
        /** The provider is to be asked again which groups they are in. */
        readonly groupsDue: boolean;
      }
    | undefined;
}

/** Times are ISO 8601 in UTC. */
export interface TokenFacts {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly regions: readonly string[] | null;
  /** Whose it is; null: a machine's. */
  readonly person: string | null;
  /** The names of the people who know it, or may: its person, and whoever issued it. */
  readonly knownTo: readonly string[];
  readonly createdAt: string;
  readonly lastUsedAt: string | null;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
}

/** Whose a token is: a person's, by name, or a machine's. */
export type TokenOwner = { readonly person: string } | 'machine';

export interface TokenRequest {
  readonly name: string;
  readonly role: Role;
  /** Absent only where a token is replaced: then it stays whose it was. */
  readonly owner?: TokenOwner | undefined;
  /** The only regions that its holder may act in; absent: all. */
  readonly regions?: readonly string[] | undefined;
  /** End the token of that name, if there is one, and put the new one in its place at once. */
  readonly replace?: boolean | undefined;
}

/** Lets scanners for leaked secrets, and our own logs, know one by its looks. */
/** What every token begins with. */
export const TOKEN_PREFIX = 'pcl_';
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
const REGION = /^[a-z0-9][a-z0-9-]*$/;

/**
 * Makes a token of 256 random bits, and puts on the record that `by` did. A name is given once, so that a line in the
 * record means one holder. Whoever issues a token knows it: one that they issue for somebody else does not approve.
 * Throws TOKEN_NAME_TAKEN, TOKEN_NAME_INVALID, PERSON_UNKNOWN, or REQUEST_INVALID for a region that cannot be one and
 * for an owner that is missing or cannot have the role.
 */
export async function issueToken(
  control: pg.Pool,
  { name, role, owner, regions, replace = false }: TokenRequest,
  by: Pick<Principal, 'name' | 'hands'>,
): Promise<IssuedToken> {
  refuseNonsense(name, regions);
  return inTransaction(control, async (client) => {
    const person = await personOf(client, { name, owner, replace });
    if (person === null && role === 'approver') {
      throw new PortcullisError('REQUEST_INVALID', 'a machine never approves, so it cannot be an approver', {
        hint: 'give it the role operator or worker; or add a person: portcullis people add NAME',
      });
    }
    const hands = [...new Set([...(person === null ? [] : [person]), ...(by.hands ?? [])])];
    const issued = await putToken(client, {
      ...{ name, role, person, hands, regions: regions ?? null },
      replaces: replace ? 'any' : 'none',
    });
    await recordAudit(client, {
      principal: by.name,
      action: 'issue-token',
      subject: name,
      evidence: { id: issued.id, role, regions: regions ?? null, replace, owner: owner ?? 'as before' },
    });
    return issued;
  });
}

/** The id of the person whose token it is to be; null: a machine's. */
async function personOf(
  client: pg.PoolClient,
  { name, owner, replace }: Pick<TokenRequest, 'name' | 'owner' | 'replace'>,
): Promise<string | null> {
  if (owner === 'machine') return null;
  if (owner === undefined) {
    const { rows } = await client.query<{ person: string | null }>(
      'select person from portcullis_control.api_token where name = $1',
      [name],
    );
    if (rows[0] && replace === true) return rows[0].person;
    throw new PortcullisError('REQUEST_INVALID', `whose token ${name} is, is missing`, {
      hint: 'say --person NAME or --machine',
    });
  }
  const { rows } = await client.query<{ id: string }>(
    'select id from portcullis_control.person where name = $1 and removed_at is null',
    [owner.person],
  );
  if (rows[0]) return rows[0].id;
  throw new PortcullisError('PERSON_UNKNOWN', `there is no person named ${owner.person}`, {
    hint: `portcullis people list shows who there is; portcullis people add ${owner.person} adds them`,
    details: { name: owner.person },
  });
}

/** A token as it is stored. */
interface StoredToken {
  readonly name: string;
  readonly role: Role;
  readonly regions: readonly string[] | null;
  /** The id of its person; null: a machine's. */
  readonly person: string | null;
  readonly hands: readonly string[];
  /** Which token of that name it may replace: any, one of the same person, or none. */
  readonly replaces: 'any' | 'same-person' | 'none';
  /** For how long, and the hash of what it was given for; absent: until it is revoked. */
  readonly lasts?: { readonly minutes: number; readonly exchangedFor: Buffer } | undefined;
}

/** Stores a new token, in the transaction that the client is in. Throws TOKEN_NAME_TAKEN. */
export async function putToken(
  client: pg.PoolClient,
  { name, role, regions, person, hands, replaces, lasts }: StoredToken,
): Promise<IssuedToken> {
  const id = randomUUID();
  const token = TOKEN_PREFIX + randomBytes(32).toString('base64url');
  const replacing = `do update set id = excluded.id, sha256 = excluded.sha256, role = excluded.role,
                            regions = excluded.regions, person = excluded.person, hands = excluded.hands,
                            created_at = clock_timestamp(), last_used_at = null, revoked_at = null
                     where $8 or api_token.person = excluded.person`;
  if (lasts !== undefined)
    return { id, token, expiresAt: await putShortToken(client, { id, token, name, role, hands, ...lasts }) };
  const { rowCount } = await client.query(
    `insert into portcullis_control.api_token (id, name, sha256, role, regions, person, hands)
     select $1, $2, $3, $4, $5::text[], $6::uuid, $7::uuid[] where $8::boolean is not null
     on conflict (name) ${replaces === 'none' ? 'do nothing' : replacing}`,
    [id, name, hashOf(token), role, regions, person, hands, replaces === 'any'],
  );
  if (rowCount === 0) {
    throw new PortcullisError('TOKEN_NAME_TAKEN', `there is, or was, a token named ${name}`, {
      hint: 'choose another name, or replace that token',
      details: { name },
    });
  }
  return { id, token };
}

/** When a machine's token ends that was given for another; undefined, and none, where that one was used before. */
async function putShortToken(
  client: pg.PoolClient,
  short: Pick<StoredToken, 'name' | 'role' | 'hands'> &
    NonNullable<StoredToken['lasts']> & { readonly id: string; readonly token: string },
): Promise<string | undefined> {
  const { id, token, name, role, hands, minutes, exchangedFor } = short;
  const { rows } = await client.query<{ expires_at: Date }>(
    `insert into portcullis_control.api_token (id, name, sha256, role, hands, expires_at, exchanged_for)
     values ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 minute', $7)
     on conflict (exchanged_for) do nothing returning expires_at`,
    [id, name, hashOf(token), role, hands, minutes, exchangedFor],
  );
  return rows[0]?.expires_at.toISOString();
}

/** Throws TOKEN_NAME_INVALID, or REQUEST_INVALID for a region that cannot be one. */
export function refuseNonsense(name: string, regions: readonly string[] | undefined): void {
  if (!NAME.test(name)) {
    throw new PortcullisError('TOKEN_NAME_INVALID', `${JSON.stringify(name)} cannot name a token`, {
      hint: 'use 1 to 64 letters, digits, dots, hyphens, underscores or @, beginning with a letter or digit',
    });
  }
  const wrong = regions?.find((region) => !REGION.test(region));
  if (wrong !== undefined || regions?.length === 0) {
    throw new PortcullisError('REQUEST_INVALID', `${JSON.stringify(wrong ?? '')} cannot be a region`, {
      hint: 'name regions such as eu-west-1, or none for all of them',
    });
  }
}

/** Of a row of api_token: it was neither revoked nor has it ended. */
export const HOLDS = '(revoked_at is null and (expires_at is null or expires_at > clock_timestamp()))';

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
    // Also on an older schema, which has no people: whoever is not to be written of only looks or kills.
    const { rows } = await control.query<TokenHolder>(
      `select id, name, role, regions from portcullis_control.api_token t
       where sha256 = $1 and revoked_at is null
         and coalesce((to_jsonb(t) ->> 'expires_at')::timestamptz > clock_timestamp(), true)`,
      [hashOf(token)],
    );
    return rows[0];
  }
  const { rows } = await control.query<
    TokenHolder & { readonly person_id: string | null; readonly person_name: string }
  >(
    `with holder as (
       select id, name, role, regions, person, hands, last_used_at from portcullis_control.api_token
       where sha256 = $1 and ${HOLDS}
     ), touched as (
       update portcullis_control.api_token as used set last_used_at = clock_timestamp()
       from holder
       where used.id = holder.id
         and (holder.last_used_at is null or holder.last_used_at < clock_timestamp() - interval '1 minute')
     )
     select holder.id, holder.name, holder.role, holder.regions, holder.hands,
            p.id as person_id, p.name as person_name
     from holder left join portcullis_control.person p on p.id = holder.person`,
    [hashOf(token)],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const { person_id: id, person_name: name, ...holder } = row;
  return { ...holder, ...(id !== null && { person: { id, name } }) };
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
      const { rows: known } = await client.query<{ name: string }>(
        'select name from portcullis_control.api_token',
      );
      const meant = nearest(
        name,
        known.map((each) => each.name),
      );
      throw new PortcullisError('TOKEN_UNKNOWN', `there is no token named ${name}`, {
        hint: meant === undefined ? 'portcullis tokens list shows those there are' : `did you mean ${meant}?`,
        details: { name, ...(meant !== undefined && { nearest: meant }) },
      });
    }
    if (found.revoked) {
      throw new PortcullisError('NOTHING_REACHED', `the token ${name} was revoked already`, {
        hint: 'portcullis tokens list shows which tokens hold',
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
    Omit<TokenFacts, 'createdAt' | 'lastUsedAt' | 'revokedAt' | 'expiresAt'> & {
      readonly created_at: Date;
      readonly last_used_at: Date | null;
      readonly expires_at: Date | null;
      readonly revoked_at: Date | null;
    }
  >(
    `select t.id, t.name, t.role, t.regions, p.name as person, t.created_at, t.last_used_at, t.revoked_at, t.expires_at,
            array(select h.name from portcullis_control.person h where h.id = any(t.hands) order by 1) as "knownTo"
     from portcullis_control.api_token t left join portcullis_control.person p on p.id = t.person
     order by t.name`,
  );
  return rows.map(
    ({
      created_at: createdAt,
      last_used_at: lastUsedAt,
      revoked_at: revokedAt,
      expires_at: expiresAt,
      ...token
    }) => ({
      ...token,
      createdAt: createdAt.toISOString(),
      lastUsedAt: lastUsedAt?.toISOString() ?? null,
      revokedAt: revokedAt?.toISOString() ?? null,
      expiresAt: expiresAt?.toISOString() ?? null,
    }),
  );
}

/** What the database keeps of a token. */
export function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
