import { createHash, randomBytes } from 'node:crypto';
import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { inTransaction } from '../postgres/pool.js';
import type { Role } from './roles.js';
import { hashOf, HOLDS as TOKEN_HOLDS, type TokenHolder } from './tokens.js';

/** A session that is not used for so long ends; no session lasts longer than a day. */
const IDLE = `interval '8 hours'`;
const LONGEST = `interval '24 hours'`;
const CODE_SECONDS = 30;

const HOLDS = `s.last_used_at > clock_timestamp() - ${IDLE} and s.created_at > clock_timestamp() - ${LONGEST}`;
/** A session of a token needs the token, one that the identity provider vouched for its link; both need their person. */
const WHOSE = `portcullis_control.session s
       left join portcullis_control.api_token t on t.id = s.token and t.revoked_at is null
       left join portcullis_control.identity i on i.issuer = s.issuer and i.subject = s.subject
       join portcullis_control.person p
         on p.id = case when s.token is null then i.person else t.person end and p.removed_at is null`;
const EXPIRES = `least(s.last_used_at + ${IDLE}, s.created_at + ${LONGEST})`;
const LEFT_MS = `ceil(extract(epoch from ${EXPIRES} - clock_timestamp()) * 1000)::float8`;

/** How often the identity provider is asked again which groups somebody is in, and how soon after it did not answer. */
const GROUPS_EVERY = `interval '15 minutes'`;
const GROUPS_AGAIN = `interval '1 minute'`;
const GROUPS_DUE = `(s.refresh is not null and s.groups_at <= clock_timestamp() - ${GROUPS_EVERY}
  and coalesce(s.groups_asked_at <= clock_timestamp() - ${GROUPS_AGAIN}, true))`;

/** What a person shows to sign in: a token of theirs, or a code that stands in for one. */
export type Proof = { readonly token: string } | { readonly code: string };

export interface SignedIn {
  /** For the cookie: the database keeps only its hash. */
  readonly secret: string;
  /** The token that the session acts as. */
  readonly name: string;
  readonly person: string;
}

export interface SignInCode {
  /** Shown this once, and good once. */
  readonly code: string;
  /** ISO 8601 in UTC. */
  readonly expiresAt: string;
}

interface TokenRow {
  readonly id: string;
  readonly name: string;
  readonly person: string | null;
}

/** Begins a session. Throws TOKEN_REFUSED, CODE_REFUSED, or MACHINE_CANNOT_SIGN_IN. */
export async function signIn(control: pg.Pool, proof: Proof): Promise<SignedIn> {
  return inTransaction(control, async (client) => {
    const found =
      'token' in proof
        ? await tokenBy(client, 'sha256', hashOf(proof.token))
        : await redeem(client, proof.code);
    if (found === undefined) throw refused(proof);
    const { name, id, person } = found;
    if (person === null) throw machine(name);
    const secret = randomBytes(32).toString('base64url');
    const session = await putSession(client, secret, { token: id });
    await recordAudit(client, {
      principal: name,
      action: 'sign-in',
      subject: person,
      evidence: { session, token: name, by: 'token' in proof ? 'token' : 'link' },
    });
    return { secret, name, person };
  });
}

/** What a session acts as: a token, or somebody for whom the identity provider vouches. */
type ActsAs =
  | { readonly token: string }
  | {
      readonly issuer: string;
      readonly subject: string;
      readonly sid: string | undefined;
      /** What the provider can be asked again by, sealed. */
      readonly refresh: string | undefined;
    };

/** Begins a session in the client's transaction, and removes those that have ended. Answers its id. */
export async function putSession(client: pg.PoolClient, secret: string, as: ActsAs): Promise<string> {
  await client.query(`delete from portcullis_control.session s where not (${HOLDS})`);
  const nobody = { token: null, issuer: null, subject: null, sid: null, refresh: null };
  const { token, issuer, subject, sid, refresh } = { ...nobody, ...as };
  const { rows } = await client.query<{ id: string }>(
    `insert into portcullis_control.session (sha256, token, issuer, subject, sid, refresh)
     values ($1, $2, $3, $4, $5, $6) returning id`,
    [hashOfSecret(secret), token, issuer, subject, sid, refresh],
  );
  return rows[0]?.id ?? '';
}

/** The token that a code stands in for; the code is good no longer. */
async function redeem(client: pg.PoolClient, code: string): Promise<TokenRow | undefined> {
  const { rows } = await client.query<{ token: string }>(
    `delete from portcullis_control.sign_in_code
     where sha256 = $1 and expires_at > clock_timestamp() returning token`,
    [hashOfCode(code)],
  );
  return rows[0] && tokenBy(client, 'id', rows[0].token);
}

function refused(proof: Proof): PortcullisError {
  return 'token' in proof
    ? new PortcullisError('TOKEN_REFUSED', 'that token is unknown or was revoked', {
        hint: 'use the token that was issued to you, or have a new one issued',
      })
    : new PortcullisError('CODE_REFUSED', 'that link was used, or has expired', {
        hint: 'portcullis open prints another; a link is good once, for 30 s',
      });
}

async function tokenBy(
  client: pg.PoolClient,
  column: 'sha256' | 'id',
  value: Buffer | string,
): Promise<TokenRow | undefined> {
  const { rows } = await client.query<TokenRow>(
    `select t.id, t.name, p.name as person
     from portcullis_control.api_token t
     left join portcullis_control.person p on p.id = t.person and p.removed_at is null
     where t.${column} = $1 and t.revoked_at is null`,
    [value],
  );
  return rows[0];
}

/** A code that signs the token's person in once, within 30 s. Throws TOKEN_MISSING, MACHINE_CANNOT_SIGN_IN, SIGN_IN_REFUSED. */
export async function createSignInCode(
  control: pg.Pool,
  holder: Pick<TokenHolder, 'id' | 'name' | 'person' | 'session'>,
): Promise<SignInCode> {
  if (holder.id === '') {
    throw new PortcullisError('TOKEN_MISSING', 'signing in takes a token', {
      hint: 'set PORTCULLIS_TOKEN to the token that was issued to you',
    });
  }
  if (holder.person === undefined) throw machine(holder.name);
  if (holder.session?.byProvider === true) {
    throw new PortcullisError(
      'SIGN_IN_REFUSED',
      `${holder.name} signed in without a token, which a code stands in for`,
      {
        hint: 'sign in by the identity provider in the other browser',
      },
    );
  }
  const code = randomBytes(24).toString('base64url');
  const { rows } = await inTransaction(control, async (client) => {
    await client.query('delete from portcullis_control.sign_in_code where expires_at < clock_timestamp()');
    return client.query<{ expires_at: Date }>(
      `insert into portcullis_control.sign_in_code (sha256, token, expires_at)
       values ($1, $2, clock_timestamp() + $3 * interval '1 second') returning expires_at`,
      [hashOfCode(code), holder.id, CODE_SECONDS],
    );
  });
  return { code, expiresAt: rows[0]?.expires_at.toISOString() ?? '' };
}

/**
 * Who acts with a session; undefined where it is unknown, has ended, or its token holds no longer. Its last use is moved at
 * most once a minute.
 */
export async function principalOfSession(control: pg.Pool, secret: string): Promise<TokenHolder | undefined> {
  const { rows } = await control.query<
    Omit<TokenHolder, 'person' | 'session'> & {
      readonly person_id: string;
      readonly person_name: string;
      readonly session: string;
      readonly expires_at: Date;
      readonly left_ms: number;
      readonly by_provider: boolean;
      readonly groups_due: boolean;
    }
  >(
    `with found as (
       select s.id as session, s.last_used_at, ${EXPIRES} as expires_at, ${LEFT_MS} as left_ms,
              s.token is null as by_provider, ${GROUPS_DUE} as groups_due,
              case when s.token is null then p.id else t.id end as id,
              case when s.token is null then 'oidc:' || p.name else t.name end as name,
              case when s.token is null then i.role else t.role end as role,
              case when s.token is null then i.regions else t.regions end as regions,
              case when s.token is null then array[p.id] else t.hands end as hands,
              p.id as person_id, p.name as person_name
       from ${WHOSE}
       where s.sha256 = $1 and ${HOLDS}
     ), used as (
       update portcullis_control.session as used set last_used_at = clock_timestamp()
       from found where used.id = found.session and found.last_used_at < clock_timestamp() - interval '1 minute'
     )
     select id, name, role, regions, hands, person_id, person_name, session, expires_at, left_ms, by_provider, groups_due
     from found`,
    [hashOfSecret(secret)],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const {
    person_id,
    person_name,
    session,
    expires_at,
    left_ms: leftMs,
    by_provider: byProvider,
    groups_due: groupsDue,
    ...holder
  } = row;
  return {
    ...holder,
    person: { id: person_id, name: person_name },
    session: {
      ...{ id: session, expiresAt: expires_at.toISOString(), leftMs },
      ...{ byProvider, groupsDue },
    },
  };
}

/**
 * What the identity provider is asked by, again, about the person of a session: sealed. One process asks at a time, since it
 * may be good once; undefined where another one does, or did within the minute, or it is not due.
 */
export async function takeRefresh(
  control: pg.Pool,
  session: string,
): Promise<{ readonly refresh: string; readonly subject: string } | undefined> {
  const { rows } = await control.query<{ refresh: string; subject: string }>(
    `update portcullis_control.session s set groups_asked_at = clock_timestamp()
     where s.id = $1 and ${GROUPS_DUE} returning s.refresh, s.subject`,
    [session],
  );
  return rows[0];
}

/** Ends the caller's session; whether it had not ended by then. */
export async function signOut(
  control: pg.Pool,
  { name, person, session }: Pick<TokenHolder, 'name' | 'person' | 'session'>,
): Promise<boolean> {
  return inTransaction(control, async (client) => {
    const { rowCount } = await client.query('delete from portcullis_control.session where id = $1', [
      session?.id ?? null,
    ]);
    if (rowCount === 0) return false;
    await recordAudit(client, {
      principal: name,
      action: 'sign-out',
      subject: person?.name ?? name,
      evidence: { session: session?.id ?? '', token: name },
    });
    return true;
  });
}

/** What a token or a session gives now. */
interface Held {
  readonly role: Role;
  readonly regions: readonly string[] | null;
  /** How long the session lasts if it is not used; null: it is a token. */
  readonly leftMs: number | null;
}

/** Of these callers, whose token or session holds now, by its id. */
export async function stillHold(
  control: pg.Pool,
  callers: readonly Pick<TokenHolder, 'id' | 'session'>[],
): Promise<ReadonlyMap<string, Held>> {
  const { rows } = await control.query<Held & { readonly id: string }>(
    `select id, role, regions, null as "leftMs" from portcullis_control.api_token
     where id = any($1) and ${TOKEN_HOLDS}
     union all
     select s.id, case when s.token is null then i.role else t.role end,
            case when s.token is null then i.regions else t.regions end, ${LEFT_MS}
     from ${WHOSE} where s.id = any($2) and ${HOLDS}`,
    [
      callers.flatMap(({ id, session }) => (session === undefined ? [id] : [])),
      callers.flatMap(({ session }) => session?.id ?? []),
    ],
  );
  return new Map(rows.map(({ id, ...held }) => [id, held]));
}

/** Whether the token, or the session if there is one, holds now: for answers that go on for minutes. */
export async function stillHolds(
  control: pg.Pool,
  caller: Pick<TokenHolder, 'id' | 'session'>,
): Promise<boolean> {
  return (await stillHold(control, [caller])).size > 0;
}

function machine(name: string): PortcullisError {
  return new PortcullisError(
    'MACHINE_CANNOT_SIGN_IN',
    `${name} is a machine's token, and only people sign in`,
    {
      hint: 'use a token that was issued to a person: portcullis people add NAME',
      details: { principal: name },
    },
  );
}

const hashOfSecret = (secret: string): Buffer => digest(`session:${secret}`);
const hashOfCode = (code: string): Buffer => digest(`sign-in:${code}`);

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
