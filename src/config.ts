import { existsSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { parseDurationMs } from './kernel/duration.js';
import { PortcullisError } from './kernel/errors.js';
import { nearest } from './kernel/nearest.js';
import { DATABASE_VARIABLE } from './flags/policy-places.js';
import { MIN_SECRET, RECEIVER_VARIABLE, WEBHOOK_SECRET, type NotifySettings } from './notify/settings.js';
import type { GivenLogins } from './postgres/logins.js';
import { LOG_LEVELS } from './telemetry/log-level.js';

const PREFIX = 'PORTCULLIS_';

const duration = (fallback: string, minMs: number, maxMs: number) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const ms = parseDurationMs(text);
      if (ms === undefined || ms < minMs || ms > maxMs) {
        context.addIssue(`must be a duration such as ${fallback}, from ${minMs} ms to ${maxMs} ms`);
        return z.NEVER;
      }
      return ms;
    });

const postgresUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, 'must be a URL such as postgresql://user:password@host:5432/portcullis');

const words = z.string().transform((text) => text.split(',').map((each) => each.trim()));

const list = (what: string, item: RegExp) =>
  words.pipe(z.array(z.string().regex(item, `must be ${what}, separated by commas`)).min(1));

const httpUrl = (example: string) =>
  z.url({ protocol: /^https?$/, error: `must be an http or https URL, such as ${example}` });

/**
 * Every variable: what it must look like, what it is when absent, and its line in docs/reference/environment.md, which is
 * made from this table. `absent` says what holds without it, where a default does not.
 */
const environment = {
  HOME: z.string().min(1).default('.portcullis').meta({
    description: "Portcullis' own folder: the embedded database, its password and the admin token.",
  }),
  URL: httpUrl('https://portcullis.example').optional(),
  TOKEN: z.string().trim().min(1).optional().meta({
    description: 'The token to act with on the command line, from `portcullis tokens issue`.',
    absent: 'the admin token in the home folder',
  }),
  FLAGS: z.string().min(1).optional().meta({
    description:
      'The folder of policy files: regular files of at most 1 MiB. A link out of the folder, a pipe or a device is refused.',
    absent: '`flags`; without that folder, the policies that Portcullis ships',
  }),
  CONFIG: z.string().min(1).optional().meta({
    description: 'The [configuration file](configuration.md#jobs-of-your-own) that lists the jobs.',
    absent:
      '`portcullis.config.ts`, `.mts`, `.js` or `.mjs` in the working folder; without one, the job `domain-claim`',
  }),
  DATABASE_URL: postgresUrl.optional().meta({
    description:
      "The owner's URL of a database of your own (PostgreSQL 14 or later). `portcullis migrate` and `start` create the other roles, so it needs `CREATEROLE`, unless a DBA made them.",
    absent: 'the embedded PostgreSQL',
  }),
  DIRECT_DATABASE_URL: postgresUrl.optional().meta({
    description:
      "The control database's own address, where `PORTCULLIS_DATABASE_URL` leads through a connection pooler: see [Connection poolers](configuration.md#connection-poolers).",
  }),
  WORKER_URL: postgresUrl.optional().meta({
    description:
      "The worker's login that a DBA made on that database: see [Roles](configuration.md#roles). With a suffix, that of a region's own database: `PORTCULLIS_WORKER_URL_EU_CENTRAL`.",
    absent: 'made by Portcullis',
  }),
  PLANNER_URL: postgresUrl.optional().meta({
    description: "The planner's login, likewise.",
    absent: 'made by Portcullis',
  }),
  HTTP: z
    .string()
    .regex(/^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):\d{1,5}$/, 'must be host:port, such as 127.0.0.1:7020')
    .default('127.0.0.1:7020')
    .meta({ description: 'The address on which HTTP is served.' }),
  PUBLIC_URL: httpUrl('https://portcullis.example')
    .refine((url) => /^\/?$/.test(new URL(url).pathname), 'must have no path: the console is served at /')
    .optional()
    .meta({
      description:
        'The address at which people open the console, where a proxy serves it: `https://portcullis.example`. Beyond loopback, people sign in over HTTPS only.',
      absent: 'the address on which HTTP is served',
    }),
  GRAFANA_URL: httpUrl('https://grafana.example')
    .refine((url) => !/[?#@]/.test(url), 'must have no name, password, ? or #: whoever may read sees it')
    .optional()
    .meta({
      description:
        "The address of the Grafana that has Portcullis' [dashboards](../guide/production.md): the console, the API and `portcullis dashboards` link to them.",
      absent: 'no links to dashboards',
    }),
  IDENTITY: z.string().min(1).optional().meta({
    description:
      'The [identity file](../guide/sign-in.md): who signs in by which provider, and what their groups may do.',
    absent: 'people sign in by token',
  }),
  OIDC_CLIENT_SECRET: z
    .string()
    .min(MIN_SECRET, `must have at least ${MIN_SECRET} characters`)
    .optional()
    .meta({
      description: "The secret of Portcullis' client at that identity provider.",
    }),
  UPLOAD_MIB: z.coerce.number().int().min(1).max(65_536).default(256).meta({
    description:
      "The largest import over HTTP, in MiB. Two at a time are kept in the system's folder for temporary files.",
  }),
  REGIONS: list('region names', /^[a-z0-9][a-z0-9-]*$/)
    .optional()
    .meta({
      description: 'The regions that this process serves, separated by commas.',
      absent: 'every region of each policy',
    }),
  WORKER: z
    .string()
    .regex(/^[\w.:-]{1,60}$/, 'must be letters, digits, . : - and _')
    .optional()
    .meta({ description: "The worker's name in runs and logs.", absent: 'host name and process id' }),
  CONCURRENT_RUNS: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(4)
    .meta({ description: 'Runs at a time in this process, for each database.' }),
  BUILD_ID: z
    .string()
    .regex(
      /^[0-9A-Za-z][0-9A-Za-z.-]{2,38}[0-9A-Za-z]$/,
      'must be 4 to 40 letters, digits, . and -, such as a commit’s hash',
    )
    .optional()
    .meta({
      description:
        "What follows a job's number in its version: 4 to 40 letters, digits, `.` and `-`, from CI: see [Versions](configuration.md#versions).",
      absent: "a digest of the jobs' code",
    }),
  LOG_LEVEL: z
    .enum(LOG_LEVELS)
    .default('info')
    .meta({ description: 'The least serious level that is logged.' }),
  FLAG_SOURCE: z.enum(['embedded', 'unleash']).default('embedded').meta({
    description: 'Where flags are: `embedded` (the control database) or `unleash` (an Unleash server).',
  }),
  FLAG_MAX_AGE: duration('60s', 1_000, 3_600_000).meta({
    description: 'A flag last heard of longer ago is closed; a policy may ask for less.',
  }),
  UNLEASH_URL: httpUrl('https://unleash.example/api')
    .optional()
    .meta({ description: "The Unleash server's API, such as `https://unleash.example/api`." }),
  UNLEASH_TOKEN: z.string().min(1).optional().meta({ description: 'A backend token of the Unleash server.' }),
  UNLEASH_REFRESH: duration('1s', 100, 60_000).meta({
    description: 'The interval at which the Unleash server is polled.',
  }),
  RESOLVERS: list('addresses such as 192.0.2.1:53, or the word system', /^(system|[0-9a-fA-F.:[\]]+)$/)
    .optional()
    .meta({
      description:
        'Name servers to ask, each a perspective of its own, separated by commas: `192.0.2.1,[2001:db8::1]:53`.',
      absent: "the system's",
    }),
  PROVIDERS: z.string().min(1).optional().meta({
    description:
      'The [providers file](domain-claim.md#providers) of `domain-claim`: domains that its lists of mail and hosting providers refuse and that may be verified here, and others that may not. It is part of the version of the job.',
    absent: 'the lists as they are',
  }),
  DNS_TIMEOUT: duration('3s', 50, 60_000).meta({ description: 'The limit for one try of one DNS question.' }),
  HTTPS_TIMEOUT: duration('10s', 50, 120_000).meta({ description: 'The limit for one whole HTTPS request.' }),
  NOTIFY_URLS: words
    // The words name no address: it may be a secret.
    .refine(
      (urls) => urls.every((url) => httpUrl('').safeParse(url).success),
      'must be http or https URLs, separated by commas',
    )
    .optional()
    .meta({
      description:
        'http or https addresses that are notified of trips, kills, holds and rollouts, separated by commas: Slack-compatible webhooks, or your own.',
      absent: 'no notifications',
    }),
  NOTIFY_SECRET: z
    .string()
    .min(MIN_SECRET, `must have at least ${MIN_SECRET} characters`)
    .regex(WEBHOOK_SECRET, 'must be Base64 behind whsec_')
    .optional()
    .meta({
      description: `The secret that notifications are signed with, ${MIN_SECRET} characters or more, or \`whsec_\` and Base64; required with \`PORTCULLIS_NOTIFY_URLS\`.`,
    }),
  RECEIVERS: z.string().min(1).optional().meta({
    description:
      'The [receivers file](../guide/notifications.md): who is notified of what, by webhook, Slack and PagerDuty. Its secrets are in variables `PORTCULLIS_RECEIVER_…` that it names.',
    absent: 'notifications go to `PORTCULLIS_NOTIFY_URLS` alone',
  }),
  NOTIFY_TIMEOUT: duration('10s', 100, 60_000).meta({
    description: 'The limit for one attempt at one address.',
  }),
};

/** The table as a schema. */
export const environmentSchema = z.object(environment);

type Variable = keyof typeof environment;

/** What compose.yaml, the test kit and `login --ci` read themselves. */
const READ_ELSEWHERE = new Set(['DB_PASSWORD', 'TEST_SERVER', 'ID_TOKEN']);

/**
 * What Kubernetes and Docker links set in each container for a service whose name begins with `portcullis`, such as
 * `PORTCULLIS_SERVICE_HOST`, `PORTCULLIS_PORT=tcp://10.0.0.1:7020` or `PORTCULLIS_DB_PORT_5432_TCP_ADDR`.
 */
function isInjected(name: string, value: string): boolean {
  return (
    /^(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/.test(name) ||
    (/^(\w+_)?PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value))
  );
}

/** What the process was told by its environment, checked and frozen. */
export interface Config {
  /** The token to act with on the command line. */
  readonly token: string | undefined;
  /** The server to work on, instead of the database. */
  readonly serverUrl: string | undefined;
  /** Where `portcullis login` keeps an address and a token. Absolute. */
  readonly credentialsFile: string;
  /** Whether a database is configured, or an embedded one is in `home`. */
  readonly hasDatabase: boolean;
  /** Portcullis' own folder: the embedded database and the admin token. Absolute. */
  readonly home: string;
  /** The folder of the policy files. Absolute. */
  readonly flagsFolder: string;
  /** Whether those files are the ones that Portcullis ships, because nobody named others and there is no `flags/` here. */
  readonly flagsShipped: boolean;
  /** The file that lists the jobs; absent: the program has the job that it brings. Absolute. */
  readonly configFile: string | undefined;
  /** What is odd about the variables, and does no harm. */
  readonly warnings: readonly string[];
  /** The owner's URL of a PostgreSQL of the company's own; absent: the embedded one. */
  readonly databaseUrl: string | undefined;
  /** The control database past a connection pooler, where `databaseUrl` leads through one: flags are heard over it. */
  readonly directDatabaseUrl: string | undefined;
  /** Logins that a DBA made on that database; those that are absent are made. */
  readonly logins: GivenLogins;
  /** The same on the regions' databases, by the variable of the database. */
  readonly regionLogins: Readonly<Record<string, GivenLogins>>;
  /** The owners' URLs of the regions' databases, by variable, as policies name them. */
  readonly regionDatabaseUrls: Readonly<Record<string, string>>;
  readonly http: { readonly host: string; readonly port: number };
  /** Where people open the console, without a slash at its end; absent: where HTTP is served. */
  readonly publicUrl: string | undefined;
  /** Where the installation's Grafana is, without a slash at its end. */
  readonly grafanaUrl: string | undefined;
  /** The identity file, absolute, and the secret that goes with it. */
  readonly identityFile: string | undefined;
  readonly oidcClientSecret: string | undefined;
  /** The largest import over HTTP. */
  readonly uploadBytes: number;
  /** The regions that this process serves; absent: every region of each policy. */
  readonly regions: readonly string[] | undefined;
  readonly worker: string;
  readonly concurrentRuns: number;
  /** What identifies the build of the jobs, in place of the digest of their code. */
  readonly buildId: string | undefined;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  readonly flagSource:
    | { readonly kind: 'embedded' }
    | { readonly kind: 'unleash'; readonly url: string; readonly token: string; readonly refreshMs: number };
  readonly flagMaxAgeMs: number;
  /** Addresses to ask, each a perspective of its own; absent: the system's. */
  readonly resolvers: readonly string[] | undefined;
  /** The providers file of `domain-claim`. Absolute. */
  readonly providersFile: string | undefined;
  /** Where people are told of trips and holds: see `readReceivers`. */
  readonly notify: NotifySettings & { readonly timeoutMs: number };
  readonly dnsTimeoutMs: number;
  readonly httpsTimeoutMs: number;
}

/**
 * Reads the configuration from variables named `PORTCULLIS_…`. Throws CONFIG_INVALID with all faults at once. A name
 * that is nearly that of a variable is a fault too; any other that starts with the prefix is a warning, unless it is
 * one that Kubernetes or compose set.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.entries(env).flatMap(([name, value]) =>
    name.startsWith(PREFIX) && value !== undefined && value !== ''
      ? [[name.slice(PREFIX.length), value] as const]
      : [],
  );
  const unknown = given.filter(
    ([name, value]) =>
      !(name in environment) &&
      !DATABASE_VARIABLE.test(PREFIX + name) &&
      !LOGIN_VARIABLE.test(name) &&
      !RECEIVER_VARIABLE.test(PREFIX + name) &&
      !READ_ELSEWHERE.has(name) &&
      !isInjected(name, value),
  );
  const parsed = environmentSchema.safeParse(Object.fromEntries(given));
  const placed = given.filter(([name]) => DATABASE_VARIABLE.test(PREFIX + name));
  const logins = given.filter(([name]) => LOGIN_VARIABLE.test(name));
  const faults: string[] = [];
  const warnings: string[] = [];
  for (const [name] of unknown) {
    const meant = variableMeant(name);
    const text = `${PREFIX}${name} is not a variable of Portcullis`;
    if (meant === undefined) warnings.push(`${text}; it is ignored`);
    else faults.push(`${text}; is ${PREFIX}${meant} meant?`);
  }
  const configured = parsed.data?.CONFIG ?? configHere();
  if (parsed.data?.PROVIDERS !== undefined && configured !== undefined)
    warnings.push(
      `${PREFIX}PROVIDERS is of domain-claim, which ${configured} takes the place of; it is ignored`,
    );
  for (const [name] of logins) {
    const database = databaseOf(name);
    if (placed.every(([each]) => PREFIX + each !== database))
      faults.push(`${PREFIX}${name} is given, and ${database} is not`);
  }
  for (const [name, url] of [...placed, ...logins]) {
    const { error } = postgresUrl.safeParse(url);
    for (const { message } of error?.issues ?? []) faults.push(`${PREFIX}${name} ${message}`);
  }
  for (const issue of parsed.error?.issues ?? [])
    faults.push(`${PREFIX}${String(issue.path[0])} ${issue.message}`);
  const port = parsed.data && Number(parsed.data.HTTP.slice(parsed.data.HTTP.lastIndexOf(':') + 1));
  if (port !== undefined && port > 65_535) faults.push(`${PREFIX}HTTP has port ${port}; ports end at 65535`);
  if (parsed.data?.FLAG_SOURCE === 'unleash') {
    for (const name of ['UNLEASH_URL', 'UNLEASH_TOKEN'] as const) {
      if (parsed.data[name] === undefined)
        faults.push(`${PREFIX}${name} is needed where ${PREFIX}FLAG_SOURCE is unleash`);
    }
  }
  if (parsed.data?.NOTIFY_URLS !== undefined && parsed.data.NOTIFY_SECRET === undefined) {
    faults.push(`${PREFIX}NOTIFY_SECRET is needed where ${PREFIX}NOTIFY_URLS is given`);
  }
  if (!parsed.success || faults.length > 0) {
    throw new PortcullisError('CONFIG_INVALID', faults.join('\n'), {
      hint: 'correct the variables; docs/reference/environment.md lists them',
      details: { faults },
    });
  }
  return toConfig(
    parsed.data,
    port ?? 0,
    Object.fromEntries(placed.map(([name, url]) => [PREFIX + name, url])),
    warnings,
    loginsByDatabase(logins),
    Object.fromEntries(
      given.flatMap(([name, value]) =>
        RECEIVER_VARIABLE.test(PREFIX + name) ? [[PREFIX + name, value]] : [],
      ),
    ),
    resolve(env['XDG_CONFIG_HOME'] || join(homedir(), '.config')),
  );
}

const CONFIG_FILES = ['ts', 'mts', 'js', 'mjs'].map((kind) => `portcullis.config.${kind}`);

function configHere(): string | undefined {
  return CONFIG_FILES.map((name) => resolve(name)).find((file) => existsSync(file));
}

/** A login that a DBA made on a region's database, named as that is: PORTCULLIS_WORKER_URL_EU_CENTRAL. */
const LOGIN_VARIABLE = /^(WORKER|PLANNER)_URL_[A-Z0-9_]{1,60}$/;

function databaseOf(loginVariable: string): string {
  return `${PREFIX}${loginVariable.replace(/^(WORKER|PLANNER)_URL_/, 'DATABASE_URL_')}`;
}

function loginsByDatabase(logins: readonly (readonly [string, string])[]): Config['regionLogins'] {
  const byDatabase: Record<string, GivenLogins> = {};
  for (const [name, url] of logins) {
    const login = name.startsWith('WORKER') ? 'worker' : 'planner';
    byDatabase[databaseOf(name)] = { ...byDatabase[databaseOf(name)], [login]: url };
  }
  return byDatabase;
}

function givenLogins(worker: string | undefined, planner: string | undefined): GivenLogins {
  return { ...(worker !== undefined && { worker }), ...(planner !== undefined && { planner }) };
}

function toConfig(
  read: z.output<typeof environmentSchema>,
  port: number,
  regionDatabaseUrls: Config['regionDatabaseUrls'],
  warnings: readonly string[],
  regionLogins: Config['regionLogins'],
  receiverSecrets: Readonly<Record<string, string>>,
  configHome: string,
): Config {
  const flagsShipped = !read.FLAGS && !existsSync(resolve('flags'));
  return Object.freeze<Config>({
    serverUrl: read.URL,
    token: read.TOKEN,
    credentialsFile: join(configHome, 'portcullis', 'credentials.json'),
    hasDatabase: read.DATABASE_URL !== undefined || existsSync(resolve(read.HOME, 'postgres-password')),
    home: resolve(read.HOME),
    // A company's policies stand where it starts the program; without any, those that Portcullis ships.
    flagsFolder: flagsShipped
      ? fileURLToPath(new URL('../flags', import.meta.url))
      : resolve(read.FLAGS ?? 'flags'),
    flagsShipped,
    configFile: read.CONFIG === undefined ? configHere() : resolve(read.CONFIG),
    warnings,
    databaseUrl: read.DATABASE_URL,
    directDatabaseUrl: read.DIRECT_DATABASE_URL,
    logins: givenLogins(read.WORKER_URL, read.PLANNER_URL),
    regionDatabaseUrls: Object.freeze(regionDatabaseUrls),
    regionLogins: Object.freeze(regionLogins),
    http: { host: read.HTTP.slice(0, read.HTTP.lastIndexOf(':')).replace(/^\[|\]$/g, ''), port },
    uploadBytes: read.UPLOAD_MIB * 1_048_576,
    publicUrl: read.PUBLIC_URL === undefined ? undefined : new URL(read.PUBLIC_URL).origin,
    grafanaUrl: read.GRAFANA_URL?.replace(/\/+$/, ''),
    identityFile: read.IDENTITY === undefined ? undefined : resolve(read.IDENTITY),
    oidcClientSecret: read.OIDC_CLIENT_SECRET,
    regions: read.REGIONS,
    worker: read.WORKER ?? `${hostname()}:${process.pid}`,
    concurrentRuns: read.CONCURRENT_RUNS,
    buildId: read.BUILD_ID,
    logLevel: read.LOG_LEVEL,
    flagSource:
      read.FLAG_SOURCE === 'unleash'
        ? {
            kind: 'unleash',
            url: read.UNLEASH_URL ?? '',
            token: read.UNLEASH_TOKEN ?? '',
            refreshMs: read.UNLEASH_REFRESH,
          }
        : { kind: 'embedded' },
    flagMaxAgeMs: read.FLAG_MAX_AGE,
    providersFile: read.PROVIDERS === undefined ? undefined : resolve(read.PROVIDERS),
    resolvers: read.RESOLVERS?.includes('system') === true ? undefined : read.RESOLVERS,
    notify: {
      urls: [...new Set(read.NOTIFY_URLS ?? [])],
      secret: read.NOTIFY_SECRET ?? '',
      file: read.RECEIVERS === undefined ? undefined : resolve(read.RECEIVERS),
      secrets: Object.freeze(receiverSecrets),
      timeoutMs: read.NOTIFY_TIMEOUT,
    },
    dnsTimeoutMs: read.DNS_TIMEOUT,
    httpsTimeoutMs: read.HTTPS_TIMEOUT,
  });
}

/** The variable that a name was most likely meant to be; undefined where it is near none. */
function variableMeant(name: string): string | undefined {
  // PORTCULLIS_DATABSE_URL_EU: the beginning of a name that a policy gives.
  const [, start = '', rest = ''] = /^([A-Z]+_[A-Z]+)(_\w+)$/.exec(name) ?? [];
  if (nearest(start, ['DATABASE_URL']) !== undefined) return `DATABASE_URL${rest}`;
  return nearest(name, Object.keys(environment) as Variable[]);
}
