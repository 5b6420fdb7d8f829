import type pg from 'pg';
import type { Installation } from '../cli/app-port.js';
import type { Config } from '../config.js';
import { AdmissionReader } from '../flags/admission-reader.js';
import { embeddedDesk, foreignDesk, type FlagDesk } from '../flags/flag-desk.js';
import { flagsAt } from '../flags/flags-elsewhere.js';
import { policiesInForce } from '../flags/policy-store.js';
import { POLL_MS } from '../flags/control-reader.js';
import type { FlagSource } from '../flags/source.js';
import { UnleashSource } from '../flags/unleash-source.js';
import { isPooled, openPool } from '../postgres/pool.js';

/** Flags from the source that is configured; `heard`: what this process hears them from already. */
export function deskOf(
  config: Config,
  { control }: Pick<Installation, 'control'>,
  heard: FlagSource,
): FlagDesk {
  const at = flagsAt(config.flagSource);
  if (at === undefined) return embeddedDesk(control, heard);
  return foreignDesk(heard, at, () => policiesInForce(control));
}

/** Asks the source for a command that shows flags; waits for its first answer, or for what keeps it from answering. */
export async function openDesk(
  config: Config,
  installation: Pick<Installation, 'control'>,
): Promise<FlagDesk & { close(): Promise<void> }> {
  if (config.flagSource.kind === 'embedded') {
    const polledMs = (await isPolled(config, installation.control)) ? POLL_MS : null;
    return { ...embeddedDesk(installation.control, undefined, polledMs), close: () => Promise.resolve() };
  }
  const source = unleashSource(config.flagSource, installation.control);
  await source.start();
  return { ...deskOf(config, installation, source), close: () => source.stop() };
}

/** Whether a process that serves hears of no flag change, and so asks again and again. */
async function isPolled({ directDatabaseUrl }: Config, control: pg.Pool): Promise<boolean> {
  if (!(await isPooled(control))) return false;
  if (directDatabaseUrl === undefined) return true;
  const pool = openPool(directDatabaseUrl, { name: 'flags', max: 1 });
  try {
    // Where it does not answer, doctor says why.
    return await isPooled(pool).catch(() => true);
  } finally {
    await pool.end();
  }
}

/** Flags from an Unleash server; how far versions are admitted, from the control database. */
export function unleashSource(
  { url, token, refreshMs }: Extract<Config['flagSource'], { kind: 'unleash' }>,
  control: pg.Pool,
): UnleashSource {
  const admissions = new AdmissionReader(control);
  return new UnleashSource({ url, token: () => token, pollMs: refreshMs, admissions });
}
