import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COMMAND_RIGHTS } from '../../src/cli/permissions.js';
import { displayWidth } from '../../src/cli/display-width.js';
import { HERE_ALONE } from '../../src/cli/remote.js';
import { shippedPolicy } from '../support/far-slot.js';
import { emptyDatabase } from '../support/database.js';
import { portcullis, temporaryFolder, untilWith, type Running } from '../support/portcullis.js';
import { until } from '../support/until.js';
import { NO_OPERATION } from '../unit/cli/operations-of-commands.js';

/**
 * Every command that an operation answers, on the database and through a server that is wired as in production: the
 * answers are the same, as text in 80 columns and as JSON.
 */

/** The commands that are not compared here, and why. */
const NOT_COMPARED: Readonly<Record<string, string>> = {
  login: 'it keeps a token for a server; on the database there is nothing to log in to',
  open: 'it prints a link that works once, to where the caller sees the server',
  run: 'here the command is the worker, and a server has one: test/http/remote-run.test.ts',
  restore: 'the same: test/http/remote-run.test.ts',
  'directory import': 'it replaces the directory: test/http/job-files.test.ts',
  'notifications test': 'on the database nobody knows whether a server has receivers',
};

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const STARTING_MS = 180_000;
const [HERE, THERE] = ['eu-west-1', 'us-west-2'];

const database = await emptyDatabase();
const home = await temporaryFolder();
const folder = await temporaryFolder();
const socket = join(folder, 'cli.sock');
let serving: Running;
let resident: ReturnType<typeof spawn>;
let [url, token] = ['', ''];
let [run, incident] = ['', ''];

interface Said {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

/** A run that came due midway would be another answer. */
const flags = await temporaryFolder({ 'domain-claim.yaml': await shippedPolicy() });
const base = {
  PORTCULLIS_FLAGS: flags,
  HOME: folder,
  PORTCULLIS_HOME: home,
  PORTCULLIS_LOG_LEVEL: 'silent',
  COLUMNS: '80',
  PORTCULLIS_GRAFANA_URL: 'https://grafana.example',
};
/** On the database, and through the server. */
const ways = {
  here: (as = token) => ({ ...base, PORTCULLIS_DATABASE_URL: database.url, PORTCULLIS_TOKEN: as }),
  there: (as = token) => ({ ...base, PORTCULLIS_URL: url, PORTCULLIS_TOKEN: as }),
};

/** Gives a command to the process that stays: see resident-cli.mjs. */
function give(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Said> {
  const words = [
    String(args.length),
    ...args,
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
  ];
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: socket, method: 'POST' }, (response) => {
      let out = '';
      response.setEncoding('utf8').on('data', (part: string) => (out += part));
      response.on('end', () => {
        const err = Buffer.from(String(response.headers['x-stderr'] ?? ''), 'base64').toString('utf8');
        resolve({ exit: (response.statusCode ?? 0) - 200, out, err });
      });
    });
    asked.on('error', reject).end(`${words.join('\0')}\0`);
  });
}

beforeAll(async () => {
  serving = portcullis(['start', '--sample', '--json'], {
    env: { ...base, PORTCULLIS_DATABASE_URL: database.url, PORTCULLIS_HTTP: '127.0.0.1:0' },
  });
  let text = '';
  serving.child.stdout?.on('data', (part: string) => (text += part));
  await untilWith(
    serving,
    'the server waits for its schedule',
    () => text.includes('"waiting"'),
    STARTING_MS,
  );
  const started = text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { event: string; http: string; adminToken: { file: string } })
    .find(({ event }) => event === 'started');
  url = started?.http ?? '';
  token = (await readFile(started?.adminToken.file ?? '', 'utf8')).trim();
  resident = spawn(process.execPath, [join(ROOT, 'test/support/resident-cli.mjs'), socket], {
    stdio: ['ignore', 'ignore', 'inherit'],
    cwd: ROOT,
  });
  await until('the command line to listen', () =>
    give(['--version'], base).then(
      () => true,
      () => false,
    ),
  );
  const dry = await give(['run', 'domain-claim', '--region', HERE, '--dry-run', '--json'], ways.there());
  run = (JSON.parse(dry.out) as { runId: string }).runId;
  const opened = await give(
    ['incident', 'open', 'domain-claim', '--region', 'eu-central-1', '--title', 'customers call', '--json'],
    ways.there(),
  );
  incident = (JSON.parse(opened.out) as { id: string }).id;
}, STARTING_MS);

afterAll(async () => {
  resident.kill('SIGTERM');
  serving.child.kill('SIGTERM');
  await serving.finished;
});

/** What is another in each answer: ages, and where the server is. */
function settled({ exit, out, err }: Said): Said {
  const same = (text: string) =>
    text
      .replaceAll(
        /"(heardAt|ageMs|lastUsedAt|seenAt|announcedAt|now|permitRemainingMs|lastConfirmedAt)":("[^"]*"|\d+(\.\d+)?)/g,
        '"$1":0',
      )
      .replaceAll(/\d+ (ms|s) ago/g, '0 s ago');
  return { exit, out: same(out), err: same(err) };
}

/** Markdown, JSON Lines, links and commands to copy are as long as they are. */
const FREE = /^(dashboards|incident (export|runbook)|audit export)/;
const fits = (text: string, form: readonly string[], line = '') =>
  form.length > 0 || FREE.test(line)
    ? []
    : text
        .split('\n')
        .filter((line) => displayWidth(line) > 80)
        .slice(0, 3);

/** JSON as what it says, so that a difference can be read. */
function parsed(text: string): unknown {
  const lines = text.split('\n').filter((line) => line !== '');
  try {
    return lines.map((line) => JSON.parse(line) as unknown);
  } catch {
    return text;
  }
}
const shown = ({ exit, out, err }: Said) => ({ exit, out: parsed(out), err: parsed(err) });

/** `$RUN` and `$INC` stand for a run and an incident. */
const LOOKS: readonly string[] = [
  'status',
  'status --watch',
  'runs --held',
  'runs --missed',
  'runs domain-claim',
  'run show $RUN',
  'run show $RUN --changes',
  'runs show $RUN',
  'impact $RUN',
  'impact $RUN --csv',
  'asof account:eu-west-1-nobody',
  'flags diff',
  'flags list',
  'flags list domain-claim',
  'flags list domain-clam',
  'flags history domain-claim --region eu-west-1',
  'flags explain domain-claim --region eu-west-1 --unit org-1',
  'flags explain domain-claim --region eu-wst-1 --unit org-1',
  'guard backtest --job domain-claim --rule claims-per-run --region eu-west-1',
  'guard suggest domain-claim',
  'rollout status domain-claim',
  'rollout simulate domain-claim',
  'break-glass list',
  'approvals',
  'incident list',
  'incident show $INC',
  'incident show NONE-0000',
  'incident runbook $INC',
  'incident export $INC',
  'workers',
  'dashboards --job domain-claim --region eu-west-1 --from 2026-03-01',
  'job commands domain-claim',
  'events --limit 5',
  'alerts list',
  'notifications list',
  'notifications receivers',
  'unit sample-organisation-005 --job domain-claim',
  'database show',
  'people list',
  'tokens list',
  'audit list',
  'audit verify',
  'audit export',
];

const argsOf = (line: string): string[] => line.replace('$RUN', run).replace('$INC', incident).split(' ');

describe('a look answers through a server as on the database', () => {
  test.each(LOOKS)('%s', async (line) => {
    for (const form of [[], ['--json']]) {
      const args = [...argsOf(line), ...form];
      const ask = async () => {
        const here = settled(await give(args, ways.here()));
        return { here, there: settled(await give(args, ways.there())) };
      };
      let last = await ask();
      // The server goes on working meanwhile.
      for (let more = 0; more < 5 && JSON.stringify(last.here) !== JSON.stringify(last.there); more += 1)
        last = await ask();
      expect({ args, ...shown(last.there) }).toEqual({ args, ...shown(last.here) });
      expect(fits(last.there.out, form, line)).toEqual([]);
    }
  });

  test('doctor, but for what only the machine itself can show', async () => {
    interface Answer {
      readonly findings: readonly { readonly check: string; readonly mark: string; readonly found: string }[];
    }
    const [here, there] = await Promise.all(
      [ways.here(), ways.there()].map(
        async (env) => JSON.parse((await give(['doctor', '--json'], env)).out) as Answer,
      ),
    );
    const unchecked =
      there?.findings.filter(({ mark }) => mark === 'not-checked').map(({ check }) => check) ?? [];
    expect(unchecked.sort()).toEqual(['Node.js', 'disk', 'folder', 'http', 'policies']);
    // A server says no address, and each process has a name server of its own.
    const plain = (text: string) =>
      text
        .replace(/ at postgresql:\S+/, '')
        .replace(/\d+ are in use/, 'some are in use')
        .replace(/clock is \d+ ms (behind|ahead of)/, 'clock is beside')
        .replace(/127\.0\.0\.1:\d+/, 'it');
    const of = (answer: Answer | undefined) =>
      answer?.findings
        .filter(({ check }) => !unchecked.includes(check))
        .map(({ found, ...rest }) => ({ ...rest, found: plain(found) }));
    expect(of(there)).toEqual(of(here));
    expect(fits((await give(['doctor'], ways.there())).out, [])).toEqual([]);
  });

  test('me, which also says where', async () => {
    const [here, there] = [
      await give(['me', '--json'], ways.here()),
      await give(['me', '--json'], ways.there()),
    ];
    expect(there).toEqual(here);
    expect((await give(['me'], ways.there())).out).toContain(url);
  });

  test('directory export', async () => {
    const [here, there] = [join(folder, 'x'), join(folder, 'y')];
    const one = await give(['directory', 'export', here], ways.here());
    const other = await give(['directory', 'export', there], ways.there());
    expect({ ...other, out: other.out.replaceAll(there, here) }).toEqual(one);
    for (const file of ['organisations', 'accounts', 'domains'])
      expect(await readFile(join(there, `${file}.csv`), 'utf8')).toBe(
        await readFile(join(here, `${file}.csv`), 'utf8'),
      );
  });
});

/** An act here and its twin there: `$R` is a region, `$N` a name, `$ID` the id that the act before answered. */
const ACTS: readonly (readonly string[])[] = [
  ['flags apply'],
  [
    'flags set domain-claim --region $R --off --reason x',
    'flags revert domain-claim --region $R --to 1 --reason x',
  ],
  ['flags set domain-claim --region $R --version 9.9.9 --share 5% --reason x'],
  ['flags set domain-claim --region nowhere --off --reason x'],
  ['flags set domain-clam --off --reason x'],
  ['guard accept $RUN --reason x'],
  ['guard rebaseline domain-claim --region $R --kind claim --reason x'],
  ['rollout start domain-claim --version 9.9.9 --reason x'],
  ['rollout pause domain-claim --reason x'],
  ['rollout resume domain-claim --reason x'],
  ['rollout promote domain-claim --region $R --reason x'],
  ['rollout approve domain-claim'],
  ['rollout abort domain-claim --reason x'],
  ['break-glass request domain-claim --version installed --region $R --share 50% --for 1h --reason x'],
  ['break-glass revoke k3v7qa2m --reason x'],
  [
    'incident open domain-claim --region $R --title broken',
    'incident include $ID --since 2026-03-01T09:30:00Z --reason x',
    'incident close $ID --false-alarm --conclusion fine',
    'incident close $ID --conclusion again',
  ],
  [
    'kill domain-claim --region $R --reason x',
    'rearm domain-claim --region $R --reason y',
    'reject $ID --reason z',
  ],
  ['kill domain-claim --region nowhere --reason x'],
  ['alerts clear 00c0ffee --reason x'],
  ['notifications retry 00000000-0000-4000-8000-000000000000'],
  ['database confirm --reason x'],
  ['directory check nobodys-own.com'],
  ['directory check gmail.com --region $R'],
  ['job do domain-claim check domain=nobodys-own.com'],
  ['job do domain-claim chek domain=a.com'],
  [
    'people add $N --role operator',
    'people add $N --role operator',
    'people link $N --issuer https://id.example --subject $N',
    'people unlink --issuer https://id.example --subject $N',
    'people unlink --issuer https://id.example --subject $N',
    'tokens issue $N-laptop --person $N --role viewer',
    'tokens revoke $N-laptop',
    'people remove $N',
    'people remove $N',
  ],
  ['tokens issue $N-ci --machine --role operator', 'tokens revoke $N-ci', 'tokens revoke $N-ci'],
  [
    'rearm domain-claim --region $R --reason x',
    'kill domain-claim --region $R --reason x',
    'rearm domain-claim --region $R --reason x',
    'approve $ID',
    'reject $ID --reason x',
    'reject $ID',
  ],
  ['stop --all --reason x'],
];

describe('an act answers through a server as on the database', () => {
  beforeAll(() => give(['incident', 'close', incident, '--false-alarm', '--conclusion', 'x'], ways.there()));

  test.each(ACTS.map((lines) => [lines.join('; '), lines] as const))('%s', async (_, lines) => {
    const acted = async (env: Readonly<Record<string, string>>, region: string, name: string) => {
      const answers = [];
      let id = '';
      for (const line of lines) {
        const args = line
          .split(' ')
          .map((word) =>
            word.replace('$RUN', run).replace('$R', region).replace('$N', name).replace('$ID', id),
          );
        const { exit, out, err } = await give([...args, '--json'], env);
        const found = /"(?:id|request)":"([^"]+)"/.exec(out)?.[1];
        const answer = plainly(
          { exit, out, err },
          {
            ...(!/ nowhere |^stop/.test(line) && { [region]: '$R' }),
            [name]: '$N',
            ...(id !== '' && { [id]: '$ID' }),
          },
        );
        id = found ?? id;
        answers.push([line, shown(answer)]);
      }
      return answers;
    };
    const here = await acted(ways.here(), HERE, 'ingrid');
    const there = await acted(ways.there(), THERE, 'thelma');
    expect(there).toEqual(here);
  });
});

/** Without what is another each time: ids, times, revisions, secrets. */
function plainly({ exit, out, err }: Said, names: Readonly<Record<string, string>>): Said {
  const plain = (text: string): string => {
    let said = text;
    for (const [name, stands] of Object.entries(names)) said = said.replaceAll(name, stands);
    return said
      .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+(Z|\+\d\d:\d\d)/g, 'TIME')
      .replaceAll(/"(id|code|token|request|incident)":"[^"]*"/g, '"$1":"ID"')
      .replaceAll(/"(revision|epoch|seq|tookMs|durationMs|ageMs)":\d+(\.\d+)?/g, '"$1":0');
  };
  return { exit, out: plain(out), err: plain(err) };
}

test('every command is compared, or there is a reason why not', () => {
  const lines = [...LOOKS, ...ACTS.flat(), 'doctor', 'me', 'directory export x'];
  const commands = Object.keys(COMMAND_RIGHTS);
  /** `run show` is not `run`. */
  const given = new Set(
    lines.map((line) =>
      commands
        .filter((path) => `${line} `.startsWith(`${path} `))
        .sort((one, other) => other.length - one.length)
        .at(0),
    ),
  );
  const compared = (path: string) => given.has(path);
  const excepted = { ...NO_OPERATION, ...HERE_ALONE, ...NOT_COMPARED };
  expect(commands.filter((path) => compared(path) === path in excepted)).toEqual([]);
  expect(Object.keys(NOT_COMPARED).filter((path) => !commands.includes(path))).toEqual([]);
});
