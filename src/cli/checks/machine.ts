import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Check, Found } from '../../doctor/patient.js';
import { messageOf } from '../../kernel/errors.js';
import type { Settings } from '../app-port.js';
import { number } from '../../kernel/words.js';

/** The least Node.js that Portcullis is made for: major and minor. */
const LEAST_NODE = [20, 19] as const;

const MIB = 1_048_576;
/** A run of a million changes journals some hundreds of MiB. */
const ROOM_LEAST_MIB = 100;
const ROOM_WISHED_MIB = 1_024;

export const node: Check<Settings> = {
  name: 'Node.js',
  examine: () => Promise.resolve([nodeFinding(process.versions.node)]),
};

export function nodeFinding(version: string): Found {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const enough = major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1]);
  return enough
    ? { mark: 'ok', found: version }
    : {
        mark: 'fail',
        found: `${version} is older than ${LEAST_NODE.join('.')}`,
        hint: `install Node.js ${LEAST_NODE.join('.')} or newer`,
      };
}

export const folder: Check<Settings> = {
  name: 'folder',
  examine: async ({ home }) => {
    const there = await nearestThere(home);
    try {
      await access(there, constants.W_OK | constants.X_OK);
      return [{ mark: 'ok', found: there === home ? home : `${home}, not made yet` }];
    } catch (error) {
      return [
        {
          mark: 'fail',
          found: `${there} may not be written: ${messageOf(error)}`,
          hint: 'give this user the right to write there, or name another folder with PORTCULLIS_HOME',
        },
      ];
    }
  },
};

export const disk: Check<Settings> = {
  name: 'disk',
  examine: async ({ home }) => {
    const { bavail, bsize } = await statfs(await nearestThere(home));
    return [diskFinding((bavail * bsize) / MIB)];
  },
};

export function diskFinding(freeMib: number): Found {
  const found = `${number(Math.floor(freeMib))} MiB free`;
  const hint = 'make room: the journal needs about 0.5 KiB for each change';
  if (freeMib < ROOM_LEAST_MIB) return { mark: 'fail', found, hint };
  return freeMib < ROOM_WISHED_MIB ? { mark: 'warn', found, hint } : { mark: 'ok', found };
}

/** The folder, or the nearest above it that exists. */
async function nearestThere(path: string): Promise<string> {
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  return exists || dirname(path) === path ? path : nearestThere(dirname(path));
}
