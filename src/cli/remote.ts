import { PortcullisError } from '../kernel/errors.js';
import type { Settings } from './app-port.js';
import { readCredentials, type Server } from './credentials.js';
import { COMMAND_RIGHTS } from './permissions.js';

/** The commands that work on the database itself, and why each cannot do with a server. */
export const HERE_ALONE = {
  start: 'it is the server',
  worker: 'it runs jobs on the database',
  migrate: 'it changes the schema, with the owner’s login',
  uninstall: 'it drops the schema, with the owner’s login',
  tour: 'it runs versions of a job against the databases',
  replay: 'it makes databases of its own',
} as const satisfies Partial<Record<keyof typeof COMMAND_RIGHTS, string>>;

/**
 * The server that a command works on: that of PORTCULLIS_URL; else, where no database is configured and no embedded one
 * is here, the one that `portcullis login` kept. Undefined: the database itself. Throws USAGE_INVALID for a command that
 * works on the database alone, TOKEN_MISSING, and what reading the kept token throws.
 */
export async function serverFor(path: string, settings: Settings): Promise<Server | undefined> {
  const right = (COMMAND_RIGHTS as Readonly<Record<string, string>>)[path];
  if (right === 'anyone') return undefined;
  const named = settings.serverUrl;
  // A process of one's own is started beside whatever server one is logged in to.
  if (named === undefined && (settings.hasDatabase || right === 'process')) return undefined;
  const kept = await readCredentials(settings.credentialsFile);
  if (named === undefined && kept === undefined) return undefined;
  const url = named ?? kept?.url ?? '';
  if (path in HERE_ALONE) {
    const why = HERE_ALONE[path as keyof typeof HERE_ALONE];
    throw new PortcullisError(
      'USAGE_INVALID',
      `${path} works on the database itself, not through ${url}: ${why}`,
      {
        hint: `give it where the database is configured${named === undefined ? ' (PORTCULLIS_DATABASE_URL)' : ', without PORTCULLIS_URL'}`,
        details: { command: path, url },
      },
    );
  }
  const token = settings.token ?? (kept?.url === url ? kept.token : undefined);
  if (token !== undefined) return { url, token };
  throw new PortcullisError('TOKEN_MISSING', `no token for ${url}`, {
    hint: `log in with the code that somebody gave you: portcullis login ${url}; or set PORTCULLIS_TOKEN`,
    details: { url },
  });
}
