import type pg from 'pg';
import { challengeName, proofLine } from '../jobs/domain-claim/proof.js';
import { sceneOf } from './sample-token.js';
import { type ZoneAnswer, listedZone } from './zone-answer.js';

/** What the zone has to know of a domain and its request. */
export interface Challenge {
  readonly name: string;
  readonly organisation_id: string;
  readonly token: string;
}

/**
 * What the sample world's name server says: at each domain's challenge, what the domain's token was minted
 * for (see sample-token.ts). Read once; an answer never depends on the state that a run has brought a domain
 * to, so a restart serves the same zone.
 */
export async function sampleZone(pool: pg.Pool): Promise<(name: string) => ZoneAnswer> {
  const { rows } = await pool.query<Challenge>(
    `select d.name, d.organisation_id, r.token
       from directory.domain d join directory.request r on r.id = d.request_id
      order by d.id collate "C"`,
  );
  return zoneOf(rows);
}

/** The zone of these challenges. Where a name has several, it shows what each of them shows. */
export function zoneOf(challenges: readonly Challenge[]): (name: string) => ZoneAnswer {
  const names = new Map<string, ZoneAnswer>();
  for (const [index, challenge] of challenges.entries()) {
    const name = challengeName(challenge.name);
    const answer = answerOf(challenge, anotherToken(challenges, index));
    const said = names.get(name);
    const merged = said === undefined || answer === undefined ? (answer ?? said) : merge(said, answer);
    if (merged !== undefined) names.set(name, merged);
  }
  return listedZone(names);
}

/** What is at a challenge's name; undefined: there is no such name. */
function answerOf({ token }: Challenge, another: string | undefined): ZoneAnswer | undefined {
  const line = proofLine(token);
  switch (sceneOf(token)) {
    case 'present':
      return { kind: 'txt', values: [line] };
    case 'crowded':
      return { kind: 'txt', values: ['v=spf1 -all', `other-service=${token.slice(0, 12)}`, line] };
    case 'split':
      return { kind: 'txt', values: [[line.slice(0, 20), line.slice(20)]] };
    case 'another':
      return another === undefined ? { kind: 'nodata' } : { kind: 'txt', values: [proofLine(another)] };
    case 'quoted':
      return { kind: 'txt', values: [`"${line}"`, line.toUpperCase()] };
    case 'nodata':
      return { kind: 'nodata' };
    case 'servfail':
      return { kind: 'servfail' };
    case 'refused':
      return { kind: 'refused' };
    case 'absent':
      return undefined;
  }
}

/** The nearest earlier token of another organisation for another name. */
function anotherToken(challenges: readonly Challenge[], index: number): string | undefined {
  const mine = challenges[index];
  for (let at = index - 1; at >= 0; at -= 1) {
    const other = challenges[at];
    if (other !== undefined && other.organisation_id !== mine?.organisation_id && other.name !== mine?.name) {
      return other.token;
    }
  }
  return undefined;
}

function merge(one: ZoneAnswer, other: ZoneAnswer): ZoneAnswer {
  if (one.kind === 'txt' && other.kind === 'txt')
    return { kind: 'txt', values: [...one.values, ...other.values] };
  if (one.kind === 'txt' || other.kind === 'nodata') return one;
  return other;
}
