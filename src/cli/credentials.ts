import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { fileError } from '../postgres/file-error.js';

/** Where Portcullis answers, and the token to act with there. */
export interface Server {
  readonly url: string;
  readonly token: string;
}

const Stored = z.object({ url: z.url({ protocol: /^https?$/ }), token: z.string().min(1) });

/** What `portcullis login URL` kept; undefined where nobody is logged in. Throws CONFIG_INVALID for a file that others may read. */
export async function readCredentials(file: string): Promise<Server | undefined> {
  let text: string;
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0) {
      throw new PortcullisError(
        'CONFIG_INVALID',
        `${file} holds a token, and others than its owner may read it`,
        {
          hint: `chmod 600 ${file}; if others could read it: portcullis tokens revoke, then log in again`,
          details: { file },
        },
      );
    }
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
    if (error instanceof PortcullisError) throw error;
    throw fileError('FILE_UNREADABLE', error, 'give this user the right to read it, or portcullis logout');
  }
  const stored = Stored.safeParse(jsonOf(text));
  if (stored.success) return stored.data;
  throw new PortcullisError('CONFIG_INVALID', `${file} holds no address and token`, {
    hint: 'portcullis logout removes it; then log in again: portcullis login URL',
    details: { file },
  });
}

/** Keeps them where only their owner may read them. Throws FILE_UNWRITABLE. */
export async function keepCredentials(file: string, server: Server): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, '', { mode: 0o600 });
    // A file that was there keeps its mode.
    await chmod(file, 0o600);
    await writeFile(file, `${JSON.stringify(server)}\n`);
  } catch (error) {
    throw fileError('FILE_UNWRITABLE', error, 'name another folder with XDG_CONFIG_HOME');
  }
}

/** Whether there were any. */
export async function forgetCredentials(file: string): Promise<boolean> {
  try {
    await rm(file);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') return false;
    throw fileError('FILE_UNWRITABLE', error, 'remove it by hand');
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
