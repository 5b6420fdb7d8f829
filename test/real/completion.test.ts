import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { announceVersions } from '../../src/rollout/announce.js';
import { requireProgram } from '../support/debian-package.js';
import { testDatabase } from '../support/database.js';
import { temporaryFolder } from '../support/portcullis.js';
import { runProgram } from '../support/program.js';

/** Completion in real shells, of the real program, with names from a real database. */

const { owner, url } = await testDatabase();
const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const bin = await temporaryFolder();
const VERSION = '1.10.0_9f3c2a1b';
const SHELL_MS = 60_000;

beforeAll(async () => {
  const program = join(bin, 'portcullis');
  await writeFile(program, `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`);
  await chmod(program, 0o755);
  await owner.query(
    `insert into portcullis_control.flag (job, region, reason, changed_by)
     values ('sweep', 'eu-west-1', 'test', 'test'), ('sweep', 'us-east-1', 'test', 'test')`,
  );
  await announceVersions(owner, 'w1', [{ job: 'sweep', version: VERSION, regions: ['eu-west-1'] }]);
});

async function inShell(shell: string, args: readonly string[], database = url): Promise<string[]> {
  const env = { PATH: `${bin}:${process.env['PATH'] ?? ''}`, PORTCULLIS_DATABASE_URL: database, HOME: bin };
  const { exit, stdout, stderr } = await runProgram(shell, args, { env, cwd: bin });
  expect([exit, stderr]).toEqual([0, '']);
  return stdout.split('\n').filter((line) => line !== '');
}

const CASES: readonly (readonly [string, readonly string[]])[] = [
  ['portcullis roll', ['rollout']],
  ['portcullis runs --sta', ['--status']],
  ['portcullis kill sw', ['sweep']],
  ['portcullis kill sweep --region eu', ['eu-west-1']],
  ['portcullis kill sweep --region eu-west-1 --version ', [VERSION, 'installed']],
];

describe('completion in bash', () => {
  const completed = (line: string, database?: string): Promise<string[]> => {
    const words = line.split(' ');
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const script = `source <(portcullis completion bash); COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}
      compopt() { echo "compopt $*"; }; _portcullis; printf '%s\\n' "\${COMPREPLY[@]}"; complete -p portcullis`;
    return inShell('bash', ['--norc', '-c', script], database);
  };

  test.each(CASES)(
    'of %j',
    async (line, expected) => {
      expect(await completed(line)).toEqual([...expected, 'complete -F _portcullis portcullis']);
    },
    SHELL_MS,
  );

  test(
    'takes paths, and without a database no longer than a moment',
    async () => {
      expect(await completed('portcullis flags apply ')).toContain('compopt -o default');
      const nowhere = 'postgresql://nobody@192.0.2.1:5432/nothing';
      const began = performance.now();
      expect(await completed('portcullis kill ', nowhere)).toEqual(['complete -F _portcullis portcullis']);
      expect(performance.now() - began).toBeLessThan(SHELL_MS / 4);
    },
    SHELL_MS,
  );
});

describe('completion in zsh', () => {
  let zsh = '';
  beforeAll(async () => {
    zsh = await requireProgram('zsh', 'zsh');
  }, 300_000);

  // A terminal of zsh's own, in which Tab is pressed; the line that it makes of it is read back. What is typed is echoed,
  // at times late: so the signs that are waited for do not stand in it as they are printed.
  const completed = async (line: string): Promise<string> => {
    const script = `zmodload zsh/zpty
      zpty shell ${zsh} -f -i
      zpty -w shell 'PS1=; unsetopt prompt_cr prompt_sp; setopt no_list_beep; autoload -Uz compinit; compinit -u -D'
      zpty -w shell 'source <(portcullis completion zsh)'
      zpty -w shell 'shown() { print -r -- "<<""<$BUFFER>"">>"; zle send-break; }; zle -N shown; bindkey "^X" shown'
      zpty -w shell 'print READ''Y'
      zpty -r -m shell found '*READY*'
      zpty -w -n shell ${JSON.stringify(line)}$'\\t\\x18'
      zpty -r -m shell found '*<<<*>>>*'
      print -r -- "\${\${found##*<<<}%%>>>*}"
      zpty -d shell`;
    return (await inShell(zsh, ['-f', '-c', script])).join('\n');
  };

  test.each(CASES.filter(([, expected]) => expected.length === 1))(
    'of %j',
    async (line, [expected = '']) => {
      const words = [...line.split(' ').slice(0, -1), expected];
      expect((await completed(line)).trimEnd()).toBe(words.join(' '));
    },
    SHELL_MS,
  );
});

describe('completion in fish', () => {
  let fish = '';
  beforeAll(async () => {
    fish = await requireProgram('fish', 'fish');
  }, 300_000);

  test.each(CASES)(
    'of %j',
    async (line, expected) => {
      const script = `portcullis completion fish | source; complete -C '${line}'`;
      const lines = await inShell(fish, ['--no-config', '-c', script]);
      expect(lines.map((each) => each.split('\t')[0]).sort()).toEqual([...expected].sort());
    },
    SHELL_MS,
  );
});
