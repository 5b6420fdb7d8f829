import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { shippedPolicy } from '../support/far-slot.js';
import { portcullis, temporaryFolder, untilWith, type Running } from '../support/portcullis.js';

/**
 * The commands of the first pages, as a newcomer types them: in order, in one shell, beside a fresh `npm start`.
 * `npx` is one that needs no registry and no installed package: it runs this build.
 */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAIN = join(ROOT, 'dist/main.js');
const PATIENCE_MS = 300_000;
/** A section of the page on a directory of one's own that is tried by itself. */
const EXAMPLES = '## Try it with example files';

const folder = await temporaryFolder({ 'domain-claim.yaml': await shippedPolicy() });
const home = join(folder, '.portcullis');
const programs = join(folder, 'programs');
let url: string;

beforeAll(async () => {
  await mkdir(programs);
  const npx = join(programs, 'npx');
  await writeFile(
    npx,
    `#!/bin/sh\n[ "$1" = portcullis ] && shift && exec '${process.execPath}' '${MAIN}' "$@"\n`,
  );
  await chmod(npx, 0o755);
  const serving: Running = portcullis(['start', '--sample', '--run-now', '--json'], {
    env: { PORTCULLIS_HOME: home, PORTCULLIS_FLAGS: folder, PORTCULLIS_HTTP: '127.0.0.1:0' },
  });
  let out = '';
  serving.child.stdout?.on('data', (text: string) => (out += text));
  await untilWith(serving, 'every region has run', () => out.includes('"event":"waiting"'));
  const started = out.split('\n').find((line) => line.includes('"event":"started"'));
  url = (JSON.parse(started ?? '{}') as { http: string }).http;
}, PATIENCE_MS);

/** Runs commands in a shell that stops at the first which fails, and answers what that printed. */
function shell(
  script: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ ok: boolean; out: string }> {
  return new Promise((resolve) => {
    execFile(
      'bash',
      ['--norc', '-euxo', 'pipefail', '-c', script.replaceAll('http://127.0.0.1:7020', url)],
      {
        cwd: folder,
        timeout: PATIENCE_MS,
        maxBuffer: 64 * 1024 * 1024,
        env: {
          PATH: [programs, process.env['PATH'] ?? ''].join(delimiter),
          PORTCULLIS_FLAGS: folder,
          PORTCULLIS_HOME: home,
          ...env,
        },
      },
      (error, stdout, stderr) => resolve({ ok: error === null, out: stdout + stderr }),
    );
  });
}

/** The blocks of a page, or of a part of it, that hold commands to be run beside a serving Portcullis, in order. */
async function commandsOf(page: string, part = (text: string) => text): Promise<string> {
  const text = part(await readFile(join(ROOT, page), 'utf8'));
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = '']) => block).join('\n');
}

async function succeed(script: string, env?: Readonly<Record<string, string>>): Promise<string> {
  expect(script).toContain('npx portcullis');
  const { ok, out } = await shell(script, env);
  if (!ok) throw new Error(out.slice(-4_000));
  return out;
}

describe('the commands of', () => {
  test(
    'the first five minutes',
    async () => {
      const out = await succeed(await commandsOf('docs/guide/first-five-minutes.md'));
      expect(out).toContain(
        'is re-armed, asked for by admin and approved by demo, introduced by the sample world',
      );
      expect(out).toContain('every row is as it was before the run');
      expect(out).not.toContain('could not be put on record');
    },
    PATIENCE_MS,
  );

  test(
    'the README, which end with a killed gate and its incident',
    async () => {
      const out = await succeed(await commandsOf('README.md'));
      expect(out).toMatch(/killed domain-claim/);
    },
    PATIENCE_MS,
  );

  test(
    'a rollout on paper',
    async () => {
      expect(await succeed(await commandsOf('docs/guide/roll-out-a-version.md'))).toContain('canary');
    },
    PATIENCE_MS,
  );

  test(
    'a directory of one’s own',
    async () => {
      const csv = {
        'o.csv': 'id,name,home_region\norg-1,Acme,eu-west-1\n',
        'd.csv': 'id,name,organisation_id\ndom-1,example.com,org-1\n',
        'a.csv': 'id,email,email_verified,home_region\nacc-1,ann@example.com,true,eu-west-1\n',
      };
      for (const [name, text] of Object.entries(csv)) await writeFile(join(folder, name), text);
      // Asks no name server of the world's.
      const commands = await commandsOf(
        'docs/guide/your-own-directory.md',
        (text) => text.split(EXAMPLES)[0] ?? '',
      );
      const out = await succeed(commands, {
        PORTCULLIS_RESOLVERS: '127.0.0.1:9',
        PORTCULLIS_DNS_TIMEOUT: '100ms',
      });
      expect(out).toContain('a dry run: nothing was written');
    },
    PATIENCE_MS,
  );

  test(
    'the example files, which verify a domain and claim an account at the first run',
    async () => {
      await mkdir(join(folder, 'node_modules'), { recursive: true });
      await symlink(ROOT, join(folder, 'node_modules/portcullis'));
      const commands = await commandsOf(
        'docs/guide/your-own-directory.md',
        (text) => text.split(EXAMPLES)[1] ?? '',
      );
      const out = await succeed(`${commands}\nnpx portcullis directory export ./became`);
      const became = async (file: string): Promise<Record<string, string>> => {
        const text = await readFile(join(folder, 'became', `${file}.csv`), 'utf8');
        const [head = '', ...rows] = text.trim().split('\n');
        const state = head.split(',').indexOf('state');
        return Object.fromEntries(rows.map((row) => [row.split(',')[0] ?? '', row.split(',')[state] ?? '']));
      };
      expect(await became('domains')).toEqual({ 'sample-shop': 'VERIFIED', 'sample-bikes': 'VERIFIED' });
      expect(await became('accounts')).toEqual({
        'sample-root': 'MANAGED',
        'sample-ann': 'MANAGED',
        'sample-bob': 'MANAGED',
        'sample-eve': 'UNMANAGED',
      });
      expect([...out.matchAll(/^applied +(.*\d)$/gm)].map(([, applied]) => applied)).toEqual([
        'claim 1, verify 1, confirm 1',
        'claim 1',
      ]);
    },
    PATIENCE_MS,
  );
});
