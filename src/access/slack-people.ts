import type pg from 'pg';
import { PortcullisError } from '../kernel/errors.js';
import type { Role } from './roles.js';
import type { TokenHolder } from './tokens.js';

/** A user of a Slack workspace. */
export interface SlackUser {
  readonly team: string;
  readonly user: string;
}

/** The issuer under which an admin links a workspace's users: the address at which Slack opens it. */
export function slackIssuer(team: string): string {
  return `https://app.slack.com/client/${team}`;
}

interface Linked {
  readonly id: string;
  readonly name: string;
  readonly removed: boolean;
  readonly known: boolean;
  /** What their row gives them. */
  readonly role: Role;
  readonly regions: string[] | null;
  readonly has_token: boolean;
  /** Whether they have ever signed in by the identity provider, and what that gave them within the last day. */
  readonly vouched: boolean;
  readonly vouched_role: Role | null;
  readonly vouched_regions: string[] | null;
}

/**
 * The person that a Slack user is linked to, with what they may do: what their groups gave them at a sign-in by the identity
 * provider in the last 24 hours, which is as long as a session; or, for whoever has tokens alone, what they were added as,
 * while one of their tokens holds. Throws SLACK_REFUSED for anybody else.
 */
export async function principalOfSlack(control: pg.Pool, { team, user }: SlackUser): Promise<TokenHolder> {
  const issuer = slackIssuer(team);
  const { rows } = await control.query<Linked>(
    `select p.id, p.name, p.removed_at is not null as removed, p.known_since is not null as known, p.role, p.regions,
            exists (select from portcullis_control.api_token t where t.person = p.id and t.revoked_at is null
                      and (t.expires_at is null or t.expires_at > clock_timestamp())) as has_token,
            exists (select from portcullis_control.identity i where i.person = p.id and i.signed_in_at is not null) as vouched,
            newest.role as vouched_role, newest.regions as vouched_regions
     from portcullis_control.identity linked
     join portcullis_control.person p on p.id = linked.person
     left join lateral (
       select i.role, i.regions from portcullis_control.identity i
       where i.person = p.id and i.signed_in_at > clock_timestamp() - interval '24 hours'
       order by i.signed_in_at desc limit 1) newest on true
     where linked.issuer = $1 and linked.subject = $2`,
    [issuer, user],
  );
  const [person] = rows;
  if (person === undefined) {
    throw new PortcullisError(
      'SLACK_REFUSED',
      'Portcullis does not know who you are: this Slack user is no person of it',
      {
        hint: `an admin says who you are: portcullis people link NAME --issuer ${issuer} --subject ${user}`,
        details: { issuer, subject: user },
      },
    );
  }
  const { id, name, removed, known, vouched, vouched_role: granted, has_token: hasToken } = person;
  if (removed || !known || (!vouched && !hasToken)) {
    throw new PortcullisError(
      'SLACK_REFUSED',
      removed
        ? `${name} was removed`
        : known
          ? `${name} has no token that holds`
          : `${name} has not redeemed their code`,
      {
        hint: `an admin adds them again: portcullis people add ${name} --replace`,
        details: { issuer, subject: user },
      },
    );
  }
  if (vouched && granted === null) {
    throw new PortcullisError(
      'SLACK_REFUSED',
      `${name} has not signed in by the identity provider for 24 hours`,
      {
        hint: 'sign in to the console once: your groups say what you may do here too',
        details: { issuer, subject: user },
      },
    );
  }
  return {
    ...{ id, name: `slack:${name}`, person: { id, name }, hands: [id] },
    role: granted ?? person.role,
    regions: vouched ? person.vouched_regions : person.regions,
  };
}

/** So long a signature may be old. */
const KEPT = `interval '15 minutes'`;

/** Notes that a request was taken. Answers whether it is the first with that hash. */
export async function takeOnce(control: pg.Pool, sha256: Buffer): Promise<boolean> {
  const { rowCount } = await control.query(
    `with old as (delete from portcullis_control.slack_request where at < clock_timestamp() - ${KEPT})
     insert into portcullis_control.slack_request (sha256) values ($1) on conflict do nothing`,
    [sha256],
  );
  return rowCount === 1;
}
