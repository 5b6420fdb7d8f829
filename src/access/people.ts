import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { inTransaction } from '../postgres/pool.js';
import type { PersonRole, Principal, Role } from './roles.js';
import type { KnownBy } from './second-person.js';
import { putToken, refuseNonsense, type IssuedToken } from './tokens.js';

/** Times are ISO 8601 in UTC. */
export interface Person {
  readonly name: string;
  readonly role: Role;
  readonly regions: readonly string[] | null;
  /** `invited`: has a code to redeem; `expired`: had one. Neither may act. */
  readonly state: 'known' | 'invited' | 'expired' | 'removed';
  readonly addedBy: string;
  readonly addedAt: string;
  /** Names of the people who gave the code. */
  readonly introducedBy: readonly string[];
  readonly knownBy: KnownBy | null;
  readonly knownSince: string | null;
  readonly codeExpiresAt: string | null;
  readonly removedAt: string | null;
  /** When they last acted or read by a token or a session of theirs, to the minute; null: never, as far as is known. */
  readonly lastSeenAt: string | null;
  /** The names of their valid tokens. */
  readonly tokens: readonly string[];
  /** Who they are at identity providers. */
  readonly identities: readonly PersonIdentity[];
}

/** Whom an issuer means; role, regions and groups are as of the last sign-in. Null: they never signed in by it. */
export interface PersonIdentity {
  readonly issuer: string;
  readonly subject: string;
  readonly role: PersonRole | null;
  readonly regions: readonly string[] | null;
  readonly groups: readonly string[];
  readonly signedInAt: string | null;
}

export interface Invitation {
  readonly name: string;
  readonly role: PersonRole;
  readonly regions?: readonly string[] | undefined;
  /** End the tokens of the person of that name, and give a new code. */
  readonly replace?: boolean | undefined;
}

export interface Invited {
  readonly name: string;
  /** Shown this once: the database keeps only its hash. */
  readonly code: string;
  readonly expiresAt: string;
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const CODE_LETTERS = 25;
const CODE_HOURS = 24;

/** 125 random bits, in groups of five to be typed. */
function newCode(): string {
  const letters = Array.from(randomBytes(CODE_LETTERS), (byte) => BASE32[byte % BASE32.length]).join('');
  return letters.match(/.{5}/g)?.join('-') ?? letters;
}

function hashOfCode(code: string): Buffer {
  return createHash('sha256')
    .update(`code:${code.toLowerCase().replace(/[\s-]/g, '')}`)
    .digest();
}

/**
 * Adds a person, who may do nothing until they redeem the code (24 hours). Throws PERSON_KNOWN, TOKEN_NAME_INVALID,
 * or REQUEST_INVALID for a region that cannot be one.
 */
export async function addPerson(
  control: pg.Pool,
  { name, role, regions, replace = false }: Invitation,
  by: Principal,
): Promise<Invited> {
  refuseNonsense(name, regions);
  const code = newCode();
  return inTransaction(control, async (client) => {
    const { rows } = await client.query<{ id: string; expires: Date }>(
      `insert into portcullis_control.person
         (name, role, regions, added_by, introduced_by, code_sha256, code_expires_at)
       values ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7 * interval '1 hour')
       on conflict (name) ${
         replace
           ? `do update set role = excluded.role, regions = excluded.regions, added_by = excluded.added_by,
                added_at = clock_timestamp(), introduced_by = array_remove(excluded.introduced_by, person.id),
                known_by = null, known_since = null, removed_at = null,
                code_sha256 = excluded.code_sha256, code_expires_at = excluded.code_expires_at`
           : 'do nothing'
       }
       returning id, code_expires_at as expires`,
      [name, role, regions, by.name, by.hands ?? [], hashOfCode(code), CODE_HOURS],
    );
    const [row] = rows;
    if (row === undefined) {
      throw new PortcullisError('PERSON_KNOWN', `there is, or was, a person named ${name}`, {
        hint: `choose another name, or give that person a new code, which ends their tokens: portcullis people add ${name} --replace`,
        details: { name },
      });
    }
    const ended = replace ? await endTokens(client, row.id) : [];
    const expiresAt = row.expires.toISOString();
    await recordAudit(client, {
      principal: by.name,
      action: 'add-person',
      subject: name,
      evidence: { id: row.id, role, regions: regions ?? null, replace, ended, codeExpiresAt: expiresAt },
    });
    return { name, code, expiresAt };
  });
}

/** The token that a code was redeemed for, and whose it is. */
export interface Redeemed extends IssuedToken {
  readonly name: string;
  readonly person: string;
  readonly role: Role;
  readonly regions: readonly string[] | null;
}

/**
 * Redeems a person's code for a token that only they know; from then on they may approve, where their role does.
 * `at`: from where, for the record. `beside`: who else's token can be read there, and so may hold this one too.
 * Throws CODE_REFUSED, TOKEN_NAME_TAKEN; the code then stays as it is.
 */
export async function redeemCode(
  control: pg.Pool,
  {
    code,
    tokenName,
    at,
    beside = [],
  }: {
    readonly code: string;
    readonly tokenName?: string | undefined;
    readonly at: string;
    readonly beside?: readonly string[] | undefined;
  },
): Promise<Redeemed> {
  return inTransaction(control, async (client) => {
    const { rows } = await client.query<{
      id: string;
      name: string;
      role: Role;
      regions: string[] | null;
      introduced_by: string[];
    }>(
      `update portcullis_control.person
       set known_by = 'code', known_since = clock_timestamp(), code_sha256 = null, code_expires_at = null
       where code_sha256 = $1 and code_expires_at > clock_timestamp() and removed_at is null
       returning id, name, role, regions, introduced_by`,
      [hashOfCode(code)],
    );
    const [person] = rows;
    if (person === undefined) {
      throw new PortcullisError('CODE_REFUSED', 'that code is unknown, was redeemed, or has expired', {
        hint: 'ask whoever gave it to you for a new one: portcullis people add NAME --replace',
      });
    }
    const { role, regions } = person;
    const name = tokenName ?? person.name;
    refuseNonsense(name, undefined);
    const hands = [...new Set([person.id, ...beside])];
    const issued = await putToken(client, {
      name,
      role,
      regions,
      person: person.id,
      hands,
      replaces: 'same-person',
    });
    await recordAudit(client, {
      principal: name,
      action: 'redeem-code',
      subject: person.name,
      evidence: { id: issued.id, token: name, role, regions, at, knownToOthers: beside.length > 0 },
    });
    return { ...issued, name, person: person.name, role, regions };
  });
}

/** Removes a person, and ends their tokens and code. Throws PERSON_UNKNOWN, NOTHING_REACHED. */
export async function removePerson(
  control: pg.Pool,
  name: string,
  by: Principal,
): Promise<readonly string[]> {
  return inTransaction(control, async (client) => {
    const { rows } = await client.query<{ id: string; removed: boolean }>(
      `select id, removed_at is not null as removed from portcullis_control.person where name = $1 for update`,
      [name],
    );
    const [found] = rows;
    if (found === undefined) {
      throw new PortcullisError('PERSON_UNKNOWN', `there is no person named ${name}`, {
        hint: 'portcullis people list shows who there is',
        details: { name },
      });
    }
    if (found.removed) {
      throw new PortcullisError('NOTHING_REACHED', `${name} was removed already`, {
        hint: 'portcullis people list shows who there is',
        details: { name },
      });
    }
    await client.query(
      `update portcullis_control.person
       set removed_at = clock_timestamp(), code_sha256 = null, code_expires_at = null where id = $1`,
      [found.id],
    );
    const ended = await endTokens(client, found.id);
    await recordAudit(client, {
      principal: by.name,
      action: 'remove-person',
      subject: name,
      evidence: { id: found.id, ended },
    });
    return ended;
  });
}

/** Ends a person's tokens, and the sessions that the identity provider vouched for. */
async function endTokens(client: pg.PoolClient, person: string): Promise<string[]> {
  await client.query(
    `delete from portcullis_control.session s using portcullis_control.identity i
     where i.person = $1 and s.issuer = i.issuer and s.subject = i.subject`,
    [person],
  );
  const { rows } = await client.query<{ name: string }>(
    `update portcullis_control.api_token set revoked_at = clock_timestamp()
     where (person = $1 or (expires_at is not null and $1 = any(hands))) and revoked_at is null returning name`,
    [person],
  );
  return rows.map(({ name }) => name).sort();
}

/** Everybody who was ever added, by name. */
export async function listPeople(control: pg.Pool): Promise<Person[]> {
  const { rows } = await control.query<
    Omit<Person, 'addedAt' | 'knownSince' | 'codeExpiresAt' | 'removedAt' | 'lastSeenAt'> & {
      readonly added_at: Date;
      readonly known_since: Date | null;
      readonly code_expires_at: Date | null;
      readonly removed_at: Date | null;
      readonly last_seen_at: Date | null;
    }
  >(
    `select p.name, p.role, p.regions, p.added_by as "addedBy", p.known_by as "knownBy",
            case when p.removed_at is not null then 'removed' when p.known_by is not null then 'known'
                 when p.code_expires_at > clock_timestamp() then 'invited' else 'expired' end as state,
            array(select i.name from portcullis_control.person i where i.id = any(p.introduced_by) order by 1)
              as "introducedBy",
            array(select t.name from portcullis_control.api_token t
                  where t.person = p.id and t.revoked_at is null order by 1) as tokens,
            coalesce((select json_agg(json_build_object('issuer', i.issuer, 'subject', i.subject, 'role', i.role,
                        'regions', i.regions, 'groups', i.groups, 'signedInAt',
                        to_char(i.signed_in_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
                        order by i.issuer, i.subject)
                      from portcullis_control.identity i where i.person = p.id), '[]') as identities,
            p.added_at, p.known_since, p.code_expires_at, p.removed_at,
            greatest(
              (select max(greatest(t.last_used_at, s.last_used_at)) from portcullis_control.api_token t
               left join portcullis_control.session s on s.token = t.id where t.person = p.id),
              (select max(greatest(i.signed_in_at, s.last_used_at)) from portcullis_control.identity i
               left join portcullis_control.session s on s.issuer = i.issuer and s.subject = i.subject
               where i.person = p.id)) as last_seen_at
     from portcullis_control.person p order by p.name`,
  );
  return rows.map(
    ({
      added_at: addedAt,
      known_since: since,
      code_expires_at: until,
      removed_at: end,
      last_seen_at: seen,
      ...rest
    }) => ({
      ...rest,
      addedAt: addedAt.toISOString(),
      knownSince: since?.toISOString() ?? null,
      codeExpiresAt: until?.toISOString() ?? null,
      removedAt: end?.toISOString() ?? null,
      lastSeenAt: seen?.toISOString() ?? null,
    }),
  );
}

/** The person of that name, known for `knownBy` where there is none yet. */
export async function ensurePerson(
  client: pg.PoolClient,
  { name, role, knownBy, by }: { name: string; role: Role; knownBy: KnownBy; by: string },
): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    `insert into portcullis_control.person (id, name, role, added_by, known_by, known_since)
     values ($1, $2, $3, $4, $5, clock_timestamp())
     on conflict (name) do update set known_by = excluded.known_by, known_since = excluded.known_since,
       role = excluded.role, regions = null, removed_at = null
     returning id`,
    [randomUUID(), name, role, by, knownBy],
  );
  return rows[0]?.id ?? '';
}
