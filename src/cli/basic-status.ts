import { messageOf } from '../kernel/errors.js';
import { time } from '../kernel/words.js';
import type { DatabaseSetup } from '../postgres/logins.js';
import type { Voice } from './context.js';

/** A gate as far as every schema has it, whatever program migrated the database. */
export interface BasicGate {
  readonly database: string;
  readonly job: string;
  readonly region: string;
  readonly state: string;
  readonly reason: string;
  readonly changedAt: Date;
}

export interface BasicStatus {
  readonly gates: readonly BasicGate[];
  /** Databases that could not be read, and why. */
  readonly unread: readonly { readonly database: string; readonly reason: string }[];
}

/** Reads the gates of every database, by nothing but what the first schema had. */
export async function readBasicStatus(databases: readonly DatabaseSetup[]): Promise<BasicStatus> {
  const gates: BasicGate[] = [];
  const unread: { database: string; reason: string }[] = [];
  for (const { name, owner } of databases) {
    try {
      const { rows } = await owner.query<Omit<BasicGate, 'database'>>(
        `select job, region, state, reason, changed_at as "changedAt" from portcullis_region.gate order by job, region`,
      );
      gates.push(...rows.map((row) => ({ database: name, ...row })));
    } catch (error) {
      unread.push({ database: name, reason: messageOf(error) });
    }
  }
  return { gates, unread };
}

export function basicStatusText(voice: Voice, { gates, unread }: BasicStatus): string {
  const table = voice.table(
    [{ title: 'job' }, { title: 'region' }, { title: 'gate' }, { title: 'since' }, { title: 'why' }],
    gates.map(({ job, region, state, reason, changedAt }) => [job, region, state, time(changedAt), reason]),
  );
  const missing = unread.map(({ database, reason }) => `${database} cannot be read: ${reason}\n`).join('');
  return `${gates.length === 0 ? 'no gate\n' : table}${missing}`;
}
