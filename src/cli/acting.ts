import { userInfo } from 'node:os';
import { readAdminToken } from '../access/admin-token.js';
import { requireMay, type Action, type Principal } from '../access/roles.js';
import { principalOfToken } from '../access/tokens.js';
import { PortcullisError } from '../kernel/errors.js';
import type { App, Installation } from './app-port.js';

/** What says whose token was given: `Context` of context.ts fits. */
interface Given {
  readonly app: Pick<App, 'settings'>;
}

/**
 * As whom the command line acts: the holder of PORTCULLIS_TOKEN; else of the admin token in Portcullis' own folder,
 * where this user may read it; else the user at the keyboard, who may look, kill and stop. Throws TOKEN_REFUSED for a
 * token that was given and is not valid.
 */
export async function actingPrincipal(
  { app: { settings } }: Given,
  { control, home, purpose }: Pick<Installation, 'control' | 'home' | 'purpose'>,
): Promise<Principal> {
  // Whoever looks or kills writes nothing but gates, and waits for nobody's lock on a token's row.
  const use = { touch: purpose === 'change' };
  if (settings.token !== undefined) {
    const holder = await principalOfToken(control, settings.token, use);
    if (holder) return holder;
    throw new PortcullisError('TOKEN_REFUSED', 'the token in PORTCULLIS_TOKEN is unknown or was revoked', {
      hint: 'set it to a token that was issued to you; portcullis tokens list shows who has one',
    });
  }
  const token = await readAdminToken(home);
  const admin = token === undefined ? undefined : await principalOfToken(control, token, use);
  return admin ?? localPrincipal();
}

/** SQLSTATEs of a database without our schema: there, no token is known. */
const NO_SCHEMA = new Set(['42P01', '3F000']);

/**
 * Refuses whoever may do this nowhere, before anything else is answered; and a token that was given and is not valid,
 * whatever it is for. Throws TOKEN_REFUSED, FORBIDDEN.
 */
export async function refuseUnfit(
  context: Given,
  { control, home }: Pick<Installation, 'control' | 'home'>,
  right?: Action,
): Promise<void> {
  if (context.app.settings.token === undefined && right === undefined) return;
  try {
    const principal = await actingPrincipal(context, { control, home, purpose: 'look' });
    if (right !== undefined) requireMay({ ...principal, regions: null }, right);
  } catch (error) {
    if (!NO_SCHEMA.has(String((error as { code?: unknown }).code))) throw error;
  }
}

/** Whom the command line acts as, who may do that. Throws TOKEN_REFUSED or FORBIDDEN. */
export async function requireActing(
  context: Given,
  installation: Installation,
  action: Action,
  region?: string,
): Promise<Principal> {
  const principal = await actingPrincipal(context, installation);
  requireMay(principal, action, region);
  return principal;
}

/** The user at the keyboard, without a token. */
export function localPrincipal(): Principal {
  return { name: `local:${userName()}`, role: 'local', regions: null };
}

/** In a container, a user may have a number and no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
