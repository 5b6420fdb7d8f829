import type pg from 'pg';
import { PortcullisError, type ErrorCode } from '../kernel/errors.js';
import type { Principal } from './roles.js';

/** What somebody asked for that takes a second person. */
export interface Asked {
  /** What was asked for, for messages: the id of a request, or `the rollout of 1.1.0`. */
  readonly what: string;
  readonly by: string;
  /** The people who know the token that asked: see {@link Principal.hands}. */
  readonly hands: readonly string[];
  readonly at: Date;
}

/** How it is known that somebody is a person. */
export type KnownBy = 'first-start' | 'upgrade' | 'code' | 'recovery' | 'sample' | 'provider';

/** A person, as far as it matters for whether they are a second one. */
export interface Acquaintance {
  readonly id: string;
  readonly name: string;
  /** Ids of the people who gave them their code. */
  readonly introducedBy: readonly string[];
  readonly knownBy: KnownBy | null;
  readonly knownSince: Date | null;
  /** Whether the identity provider vouches for them: they have signed in by it. */
  readonly vouched?: boolean;
}

/** Two people, and what whoever reads the record should know about the second. */
export interface SecondPerson {
  /** Who introduced them. */
  readonly introducedBy: string | null;
  /** What speaks against their being two, though it does not forbid it. */
  readonly caution: string | null;
}

/** A refusal to count somebody as the second person. */
export interface NotSecond {
  readonly code: Extract<
    ErrorCode,
    'APPROVAL_SELF' | 'MACHINE_CANNOT_APPROVE' | 'APPROVER_UNPROVEN' | 'APPROVER_TOO_NEW'
  >;
  readonly why: string;
  readonly next: string;
}

/** For so long after redeeming a code, somebody may be whoever gave them the code. */
export const NEW_FOR_MS = 3_600_000;

/**
 * Whether the principal is another person than those who asked. The table of docs/reference/people.md, in its order.
 * `people`: everyone involved, and all who introduced them, by id.
 */
export function judgeSecond(
  asked: Asked,
  principal: Principal,
  people: ReadonlyMap<string, Acquaintance>,
): SecondPerson | NotSecond {
  const { name, person, hands = [] } = principal;
  const { what, by } = asked;
  if (person === undefined) {
    return {
      code: 'MACHINE_CANNOT_APPROVE',
      why: `${name} is no person's token, and only people decide`,
      next: 'ask a person who may approve; portcullis tokens list shows whose each token is',
    };
  }
  if (name === by || asked.hands.includes(person.id)) {
    return {
      code: 'APPROVAL_SELF',
      why:
        name === by
          ? `${name} asked for ${what}, and so cannot decide it`
          : `${person.name} asked for ${what}, or knows the token that did (${by}), and so cannot decide it`,
      next: 'ask another person who may approve',
    };
  }
  const others = hands.filter((hand) => hand !== person.id);
  if (others.length > 0 || hands.length === 0) {
    return {
      code: 'APPROVER_UNPROVEN',
      why: `${namesOf(others, people)} issued the token ${name}, so nobody knows that it is ${person.name} who holds it`,
      next: `${person.name} approves with a token of their own: portcullis people add ${person.name} --replace, and they redeem the code`,
    };
  }
  const approver = people.get(person.id);
  const asking = asked.hands.flatMap((id) => people.get(id) ?? []);
  const tooNew = newness(asked, approver, asking, people);
  if (tooNew !== undefined) return tooNew;
  return {
    introducedBy: approver === undefined ? null : introducerOf(approver, people),
    caution: cautionOf(approver, asking, people),
  };
}

/** Who was introduced within the hour by one of the others may be that other. */
function newness(
  { what, at }: Asked,
  approver: Acquaintance | undefined,
  asking: readonly Acquaintance[],
  people: ReadonlyMap<string, Acquaintance>,
): NotSecond | undefined {
  // Also the first admin is new again, once somebody has said who they are at the identity provider.
  const isNew = ({ knownBy, knownSince, introducedBy }: Acquaintance): boolean =>
    (knownBy === 'code' ||
      knownBy === 'recovery' ||
      knownBy === 'provider' ||
      (knownBy === 'first-start' && introducedBy.length > 0)) &&
    knownSince !== null &&
    knownSince.getTime() > at.getTime() - NEW_FOR_MS;
  const refusal = (person: Acquaintance, why: string): NotSecond => {
    const until = new Date((person.knownSince?.getTime() ?? 0) + NEW_FOR_MS).toISOString();
    return {
      code: 'APPROVER_TOO_NEW',
      why: `${why} less than an hour before ${what} was asked for, or after it`,
      next: `ask another person, or request again after ${until}`,
    };
  };
  for (const one of approver === undefined ? [] : [approver, ...asking].filter(isNew)) {
    if (one.knownBy === 'recovery')
      return refusal(one, `the token of ${one.name} was recovered without a token`);
    const others = one === approver ? asking : approver === undefined ? [] : [approver];
    for (const other of others) {
      if (introduced(other.id, one, people)) {
        const how = one.knownBy === 'code' ? 'who redeemed the code' : 'who was linked to an identity';
        return refusal(one, `${other.name} introduced ${one.name}, ${how}`);
      }
      // The provider vouches that its people are two; that one of them is not somebody with a token, nobody does.
      if (one.knownBy === 'provider' && other.vouched !== true) {
        return refusal(
          one,
          `${other.name} has tokens alone, and ${one.name} signed in by the identity provider first`,
        );
      }
      if (isNew(other) && other.introducedBy.some((id) => one.introducedBy.includes(id))) {
        return refusal(
          one,
          `${namesOf(one.introducedBy, people)} introduced both ${one.name} and ${other.name}, who redeemed their codes`,
        );
      }
    }
  }
  return undefined;
}

function cautionOf(
  approver: Acquaintance | undefined,
  asking: readonly Acquaintance[],
  people: ReadonlyMap<string, Acquaintance>,
): string | null {
  if (approver === undefined) return null;
  const { name, knownBy, knownSince } = approver;
  const cautions: string[] = [];
  if (knownBy === 'sample') {
    cautions.push(`${name} is a person of the sample world: no second human has agreed`);
  }
  if (knownBy === 'recovery') {
    cautions.push(`the token of ${name} was recovered without a token at ${knownSince?.toISOString() ?? ''}`);
  }
  if (knownBy === 'upgrade') {
    cautions.push(`the token of ${name} is from before Portcullis knew people; nothing shows whose it is`);
  }
  for (const asker of asking) {
    if (introduced(asker.id, approver, people)) cautions.push(`${asker.name} asked, and introduced ${name}`);
    else if (introduced(approver.id, asker, people))
      cautions.push(`${name} introduced ${asker.name}, who asked`);
    if ((approver.vouched ?? false) !== (asker.vouched ?? false)) {
      const [by, alone] = approver.vouched === true ? [name, asker.name] : [asker.name, name];
      cautions.push(
        `${by} signs in by the identity provider, and ${alone} has tokens alone: nothing shows that they are two`,
      );
    }
  }
  return cautions.length === 0 ? null : cautions.join('; ');
}

/** Whether the person of that id introduced this one, or introduced who did. */
function introduced(
  id: string,
  person: Acquaintance,
  people: ReadonlyMap<string, Acquaintance>,
  seen = new Set<string>(),
): boolean {
  if (person.introducedBy.includes(id)) return true;
  return person.introducedBy.some((above) => {
    const introducer = people.get(above);
    if (introducer === undefined || seen.has(above)) return false;
    return introduced(id, introducer, people, seen.add(above));
  });
}

/** Of people whom nobody introduced: how Portcullis came to know them. */
export const UNINTRODUCED: Partial<Readonly<Record<KnownBy, string>>> = {
  'first-start': 'the first start',
  recovery: 'a recovery without a token',
  sample: 'the sample world',
  provider: 'the identity provider',
};

function introducerOf(
  { knownBy, introducedBy }: Acquaintance,
  people: ReadonlyMap<string, Acquaintance>,
): string {
  const alone = knownBy === null ? undefined : UNINTRODUCED[knownBy];
  return alone ?? (introducedBy.length > 0 ? namesOf(introducedBy, people) : 'the upgrade');
}

function namesOf(ids: readonly string[], people: ReadonlyMap<string, Acquaintance>): string {
  if (ids.length === 0) return 'nobody known';
  return ids.map((id) => people.get(id)?.name ?? 'somebody').join(' and ');
}

/**
 * Counts the principal as a second person beside those who asked, or throws why it is none: APPROVAL_SELF,
 * MACHINE_CANNOT_APPROVE, APPROVER_UNPROVEN or APPROVER_TOO_NEW.
 */
export async function requireSecond(
  control: pg.Pool | pg.PoolClient,
  asked: Asked,
  principal: Principal,
  details: Readonly<Record<string, unknown>> = {},
): Promise<SecondPerson> {
  const { name, person, hands = [] } = principal;
  const involved = [...asked.hands, ...hands, ...(person === undefined ? [] : [person.id])];
  const judged = judgeSecond(asked, principal, await acquaintances(control, involved));
  if (!('code' in judged)) return judged;
  throw new PortcullisError(judged.code, judged.why, {
    hint: judged.next,
    details: { ...details, principal: name, action: 'approve' },
  });
}

/** The people of these ids, and all who introduced them. */
async function acquaintances(
  control: pg.Pool | pg.PoolClient,
  ids: readonly string[],
): Promise<Map<string, Acquaintance>> {
  const { rows } = await control.query<Acquaintance>(
    `with recursive involved as (
       select * from portcullis_control.person where id = any($1)
       union
       select p.* from portcullis_control.person p join involved i on p.id = any(i.introduced_by)
     )
     select id, name, introduced_by as "introducedBy", known_by as "knownBy", known_since as "knownSince",
            exists (select from portcullis_control.identity i
                    where i.person = involved.id and i.signed_in_at is not null) as vouched
     from involved`,
    [ids],
  );
  return new Map(rows.map((row) => [row.id, row]));
}
