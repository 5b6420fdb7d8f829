import { EVERYTHING } from '../../support/admissions.js';
import type { FlagSource } from '../../../src/flags/source.js';
import type { TokenHolder } from '../../../src/access/tokens.js';
import type { Lead } from './generator.js';
import type { Twist } from './world.js';

/** A bug as somebody might write it one day. It lives here and not in the product. */
export interface Plant {
  readonly bug: string;
  /** By which ways its schedules come to where it shows. */
  readonly lead: Lead;
  readonly twist: Twist;
}

/** Says something else in place of a piece of a statement. */
const instead =
  (piece: string, other: string) =>
  (sql: string): string =>
    sql.replaceAll(piece, other);

/** Whatever its shares, every version is admitted to them. */
const unheld = (source: FlagSource): FlagSource => ({
  name: source.name,
  repository: source.repository,
  admissions: EVERYTHING,
  start: () => source.start(),
  stop: () => source.stop(),
  state: () => source.state(),
  onChange: (listener) => source.onChange(listener),
});

/** Each token is somebody of its own. */
const alone = (holder: TokenHolder): TokenHolder => ({
  ...holder,
  person: { id: holder.id, name: holder.name },
  hands: [holder.id],
});

export const PLANTS: readonly Plant[] = [
  {
    bug: 'flags that nobody holds down to what versions are admitted to',
    lead: { ways: ['use break-glass that is over'] },
    twist: { source: unheld },
  },
  {
    bug: 'four eyes that count tokens',
    lead: { ways: ['ask and approve', 'ask, and approve with a token that she issues'], admin: true },
    twist: { caller: (holder) => (holder.person ? alone(holder) : holder) },
  },
  {
    bug: 'machines that approve',
    lead: { ways: ['ask, and approve with a token that she issues'], admin: true },
    twist: { caller: (holder) => (holder.person ? holder : alone(holder)) },
  },
  {
    bug: 'a second person who may be as new as they like',
    lead: { ways: ['ask, and approve as somebody whom she adds'], admin: true },
    twist: {
      control: instead('known_since as "knownSince"', `known_since - interval '1 day' as "knownSince"`),
    },
  },
  {
    bug: 'tokens that only their person knows, whoever issued them',
    lead: { ways: ['ask, and approve with a token that she issues'], admin: true },
    twist: {
      caller: (holder) => (holder.person ? { ...holder, hands: [holder.person.id] } : holder),
    },
  },
  {
    bug: 'break-glass that never ends',
    lead: { ways: ['use break-glass that is over'] },
    twist: {
      control: (sql) =>
        sql.includes('as grants')
          ? sql
              .replace('where ended_at is null and expires_at > clock_timestamp()', '')
              .replace('extract(epoch from expires_at - clock_timestamp()) * 1000', '9e9')
          : sql,
    },
  },
  {
    bug: 'break-glass for whoever it reaches by the time it is approved',
    lead: { ways: ['ask for few, and let them become many'] },
    twist: {
      worker: (sql) => (sql.startsWith('select count(*)') ? `select 1 as n where $1::text is not null` : sql),
    },
  },
  {
    bug: 'an abort that leaves the version admitted',
    lead: { ways: ['come back after an abort'] },
    twist: {
      control: instead(
        `set permille = 0, source = 'cleared'`,
        `set permille = a.permille, source = 'cleared'`,
      ),
    },
  },
  {
    bug: "a fence that ignores the version's own epoch",
    lead: { ways: ['abort in mid-run'] },
    twist: { worker: instead(', 0) = $10', ', 0) >= 0 * $10') },
  },
  {
    bug: 'a region that believes an older control database',
    lead: { ways: ['restore a backup of before'] },
    twist: {
      worker: (sql) => {
        const forgotten = sql.replaceAll(
          'jsonb_object_agg(v.version, v.admission_revision)',
          'jsonb_object_agg(v.version, 0)',
        );
        if (!sql.includes('with made as')) return forgotten;
        return forgotten
          .replaceAll('flag_revision as "flagRevision"', '0::bigint as "flagRevision"')
          .replaceAll('admission_revision as "admissionRevision"', '0::bigint as "admissionRevision"');
      },
      control: instead('where coalesce(a.revision, 0) < s.revision', 'where false'),
    },
  },
  {
    bug: 'a first version that may be another one later',
    lead: { ways: ['admit it as the first one'] },
    twist: {
      control: instead(`and region = any($2) and source <> 'break-glass'`, 'and region = any($2) and false'),
    },
  },
  {
    bug: 'a wave that begins without its second person',
    lead: { ways: ['begin a wave alone'] },
    twist: {
      control: (sql) =>
        sql.includes('from portcullis_control.rollout_approval p join')
          ? sql.replace(/case a\.decision[\s\S]+? as state/, `'approved' as state`)
          : sql,
    },
  },
];
