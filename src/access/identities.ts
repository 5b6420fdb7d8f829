import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { inTransaction } from '../postgres/pool.js';
import type { GroupRole } from './identity-file.js';
import type { Principal } from './roles.js';
import { putSession, type SignedIn } from './sessions.js';
import { refuseNonsense } from './tokens.js';

/** Somebody, as an issuer knows them. */
export interface Identity {
  /** The issuer's URL. */
  readonly issuer: string;
  /** What it calls this one, and nobody else ever. */
  readonly subject: string;
}

/** Somebody for whom the identity provider vouches. */
export interface Vouched extends Identity {
  /** What to call a person who is new. */
  readonly name: string;
  readonly groups: readonly string[];
  /** The provider's own session. */
  readonly sid: string | undefined;
  /** What it can be asked again by which groups they are in, sealed; absent: it gives nothing for that. */
  readonly refresh: string | undefined;
}

/** What the record calls somebody who signed in without a token: no token's name has a colon. */
export const PROVIDER_PREFIX = 'oidc:';

/**
 * Begins the session of somebody for whom the identity provider vouches, with what the first of `roles` gives whose group
 * they are in. Where that is not what it was, their other sessions end. Throws SIGN_IN_REFUSED and PERSON_KNOWN.
 */
export async function signInVouched(
  control: pg.Pool,
  who: Vouched,
  roles: readonly GroupRole[],
): Promise<SignedIn> {
  const granted = grantedBy(roles, who.groups);
  if (granted === undefined) {
    await grantNothing(control, who);
    throw refused(`${who.name} is in none of the groups that may sign in`, {
      hint: 'ask whoever manages the groups; the identity file (PORTCULLIS_IDENTITY) says which one may do what',
    });
  }
  const secret = randomBytes(32).toString('base64url');
  return inTransaction(control, async (client) => {
    const person = await personOf(client, who);
    const { role, regions } = granted;
    await client.query(
      `delete from portcullis_control.session s using portcullis_control.identity i
       where i.issuer = $1 and i.subject = $2 and s.issuer = i.issuer and s.subject = i.subject
         and (i.role, i.regions) is distinct from ($3::text, $4::text[])`,
      [who.issuer, who.subject, role, regions],
    );
    await client.query(
      `update portcullis_control.identity
       set role = $3, regions = $4, groups = $5, signed_in_at = clock_timestamp()
       where issuer = $1 and subject = $2`,
      [who.issuer, who.subject, role, regions, knownGroups(roles, who.groups)],
    );
    const { issuer, subject, sid, refresh } = who;
    const session = await putSession(client, secret, { issuer, subject, sid, refresh });
    const name = PROVIDER_PREFIX + person;
    await recordAudit(client, {
      principal: name,
      action: 'sign-in',
      subject: person,
      evidence: { session, by: 'provider', issuer, identity: subject, group: granted.group, role, regions },
    });
    return { secret, name, person };
  });
}

function grantedBy(roles: readonly GroupRole[], groups: readonly string[]): GroupRole | undefined {
  return roles.find(({ group }) => groups.includes(group));
}

function knownGroups(roles: readonly GroupRole[], groups: readonly string[]): string[] {
  return roles.flatMap(({ group }) => (groups.includes(group) ? [group] : []));
}

/** Somebody is in no group any more: their sessions end. */
async function grantNothing(control: pg.Pool, { issuer, subject }: Identity): Promise<void> {
  await endSessions(control, { issuer, subject }, 'no group');
  // Nor may they act by what they are linked to, such as Slack.
  await control.query(
    `update portcullis_control.identity set role = null, regions = null, groups = '{}', signed_in_at = null
     where issuer = $1 and subject = $2`,
    [issuer, subject],
  );
}

/** What the provider answered when it was asked again about the person of a session. */
export type AskedAgain =
  { readonly groups: readonly string[]; readonly refresh: string | undefined } | 'refused';

/**
 * Has the sessions of somebody follow the groups that they are in now. They end where these give nothing; this one ends
 * where the provider vouches for them no longer.
 */
export async function followGroups(
  control: pg.Pool,
  session: string,
  answer: AskedAgain,
  roles: readonly GroupRole[],
): Promise<void> {
  const { rows } = await control.query<Identity & { readonly name: string }>(
    `select i.issuer, i.subject, p.name from portcullis_control.session s
     join portcullis_control.identity i on i.issuer = s.issuer and i.subject = s.subject
     join portcullis_control.person p on p.id = i.person where s.id = $1`,
    [session],
  );
  const [who] = rows;
  if (who === undefined) return;
  const granted = answer === 'refused' ? undefined : grantedBy(roles, answer.groups);
  if (answer !== 'refused' && granted === undefined) {
    await grantNothing(control, who);
    return;
  }
  await inTransaction(control, async (client) => {
    if (answer === 'refused' || granted === undefined) {
      await client.query('delete from portcullis_control.session where id = $1', [session]);
      await recordSignOut(client, { id: session, name: who.name, issuer: who.issuer }, 'provider refused');
      return;
    }
    const { role, regions, group } = granted;
    await client.query(
      `update portcullis_control.session
       set refresh = coalesce($2, refresh), groups_at = clock_timestamp(), groups_asked_at = null where id = $1`,
      [session, answer.refresh ?? null],
    );
    const { rowCount } = await client.query(
      `update portcullis_control.identity set role = $3, regions = $4, groups = $5
       where issuer = $1 and subject = $2 and (role, regions, groups) is distinct from ($3::text, $4::text[], $5::text[])`,
      [who.issuer, who.subject, role, regions, knownGroups(roles, answer.groups)],
    );
    if (rowCount === 0) return;
    await recordAudit(client, {
      principal: 'system:provider',
      action: 'follow-groups',
      subject: who.name,
      evidence: { session, issuer: who.issuer, identity: who.subject, group, role, regions },
    });
  });
}

/** The name of the person that an identity is linked to; one who is new is added. */
async function personOf(client: pg.PoolClient, who: Vouched): Promise<string> {
  const known = await linkedTo(client, who);
  if (known !== undefined) {
    if (known.removed) {
      throw refused(`${known.name} was removed`, {
        hint: `an admin adds them again: portcullis people add ${known.name} --replace`,
      });
    }
    await client.query(
      `update portcullis_control.person set known_by = 'provider', known_since = clock_timestamp(),
         code_sha256 = null, code_expires_at = null
       where id = $1 and known_by is null`,
      [known.id],
    );
    return known.name;
  }
  refuseName(who);
  const { rows } = await client.query<{ id: string }>(
    `insert into portcullis_control.person (name, role, added_by, known_by, known_since)
     values ($1, 'viewer', 'system:provider', 'provider', clock_timestamp())
     on conflict (name) do nothing returning id`,
    [who.name],
  );
  const [added] = rows;
  if (added === undefined) {
    throw new PortcullisError(
      'PERSON_KNOWN',
      `there is a person named ${who.name}, who is not known to be this one of the identity provider`,
      {
        hint: `if they are the same human, an admin says so: portcullis people link ${who.name} --issuer ${who.issuer} --subject ${who.subject}`,
        details: { name: who.name, issuer: who.issuer, subject: who.subject },
      },
    );
  }
  await putIdentity(client, who, added.id, 'system:provider');
  return who.name;
}

/** A name that a person cannot have is the provider's: the claim is another one, or needs another mapping. */
function refuseName({ name }: Vouched): void {
  try {
    refuseNonsense(name, undefined);
  } catch {
    throw refused(`${JSON.stringify(name)} cannot be a person's name`, {
      hint: 'a name has 1 to 64 letters, digits, dots, hyphens, underscores or @; nameClaim in the identity file says which claim it is',
    });
  }
}

export function refused(why: string, { hint }: { readonly hint: string }): PortcullisError {
  return new PortcullisError('SIGN_IN_REFUSED', why, { hint });
}

interface LinkedPerson {
  readonly id: string;
  readonly name: string;
  readonly removed: boolean;
}

/** The person that an identity is linked to. */
export async function linkedTo(
  client: pg.Pool | pg.PoolClient,
  { issuer, subject }: Identity,
): Promise<LinkedPerson | undefined> {
  const { rows } = await client.query<LinkedPerson>(
    `select p.id, p.name, p.removed_at is not null as removed
     from portcullis_control.identity i join portcullis_control.person p on p.id = i.person
     where i.issuer = $1 and i.subject = $2`,
    [issuer, subject],
  );
  return rows[0];
}

async function putIdentity(
  client: pg.PoolClient,
  { issuer, subject }: Identity,
  person: string,
  by: string,
): Promise<boolean> {
  const { rowCount } = await client.query(
    `insert into portcullis_control.identity (issuer, subject, person, linked_by) values ($1, $2, $3, $4)
     on conflict (issuer, subject) do nothing`,
    [issuer, subject, person, by],
  );
  return rowCount === 1;
}

/**
 * Says that a person of ours and somebody of an issuer's are one human, so that four eyes count them once. Whoever says it
 * has introduced them from now on. Throws PERSON_UNKNOWN, IDENTITY_LINKED.
 */
export async function linkIdentity(
  control: pg.Pool,
  { name, ...identity }: Identity & { readonly name: string },
  by: Principal,
): Promise<void> {
  await inTransaction(control, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `update portcullis_control.person
       set introduced_by = array_remove(introduced_by || $2::uuid[], id),
           known_since = case when known_since is not null then clock_timestamp() end
       where name = $1 and removed_at is null returning id`,
      [name, by.hands ?? []],
    );
    const [person] = rows;
    if (person === undefined) {
      throw new PortcullisError('PERSON_UNKNOWN', `there is no person named ${name}`, {
        hint: `portcullis people list shows who there is; portcullis people add ${name} adds them`,
        details: { name },
      });
    }
    if (!(await putIdentity(client, identity, person.id, by.name))) {
      const other = await linkedTo(client, identity);
      throw new PortcullisError(
        'IDENTITY_LINKED',
        `${identity.subject} of ${identity.issuer} is ${other?.name ?? 'somebody'}`,
        {
          hint: 'portcullis people unlink ends that, and their sessions by it',
          details: { ...identity, person: other?.name ?? null },
        },
      );
    }
    await recordAudit(client, {
      principal: by.name,
      action: 'link-identity',
      subject: name,
      evidence: { ...identity },
    });
  });
}

/** Ends a link, and the sessions that were begun by it. Throws NOTHING_REACHED. */
export async function unlinkIdentity(control: pg.Pool, identity: Identity, by: Principal): Promise<string> {
  return inTransaction(control, async (client) => {
    const known = await linkedTo(client, identity);
    const { rowCount } = await client.query(
      'delete from portcullis_control.identity where issuer = $1 and subject = $2',
      [identity.issuer, identity.subject],
    );
    if (known === undefined || rowCount === 0) {
      throw new PortcullisError(
        'NOTHING_REACHED',
        `nobody is linked to ${identity.subject} of ${identity.issuer}`,
        {
          hint: 'portcullis people list --json shows whose identity is which',
          details: { ...identity },
        },
      );
    }
    await recordAudit(client, {
      principal: by.name,
      action: 'unlink-identity',
      subject: known.name,
      evidence: { ...identity },
    });
    return known.name;
  });
}

/**
 * Ends the sessions that were begun by an identity, or those of one session of the provider. Answers how many there were.
 */
export async function endSessions(
  control: pg.Pool,
  {
    issuer,
    subject,
    sid,
  }: { readonly issuer: string; readonly subject?: string | undefined; readonly sid?: string | undefined },
  why: 'no group' | 'provider signed out',
): Promise<number> {
  return inTransaction(control, async (client) => {
    const { rows } = await client.query<{ id: string; name: string }>(
      `delete from portcullis_control.session s
       using portcullis_control.identity i join portcullis_control.person p on p.id = i.person
       where i.issuer = $1 and s.issuer = i.issuer and s.subject = i.subject
         and s.subject = coalesce($2, s.subject) and (s.sid = $3 or ($3 is null and $2 is not null))
       returning s.id, p.name`,
      [issuer, subject ?? null, why === 'no group' ? null : (sid ?? null)],
    );
    for (const { id, name } of rows) await recordSignOut(client, { id, name, issuer }, why);
    return rows.length;
  });
}

async function recordSignOut(
  client: pg.PoolClient,
  { id, name, issuer }: { readonly id: string; readonly name: string; readonly issuer: string },
  why: string,
): Promise<void> {
  await recordAudit(client, {
    principal: 'system:provider',
    action: 'sign-out',
    subject: name,
    evidence: { session: id, why, issuer },
  });
}
