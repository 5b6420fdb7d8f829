import type { AdminToken } from '../access/admin-token.js';
import type { Installation, Service } from './app-port.js';
import { driftTexts } from '../flags/policy-drift.js';
import { quoted } from '../kernel/words.js';
import type { Voice } from './context.js';
import type { Cell } from './table.js';

/** Where everything of a serving process is, for programs. */
export function whereObject(installation: Installation, service: Service): Record<string, unknown> {
  const { home, flagsFolder, database, embedded } = installation;
  return {
    ...{ home, flagsFolder, database, embedded: embedded && { adopted: embedded.adopted } },
    http: service.httpUrl ?? null,
    adminToken: service.adminToken ?? null,
    demoToken: service.demoToken ?? null,
    seeded: service.seeded,
    sampleAway: service.sampleAway,
    policies: service.policies ?? null,
    served: service.served.map(({ job, policy, regions }) => ({
      job: policy.job,
      version: job.version,
      schedule: policy.schedule,
      regions,
    })),
  };
}

const TOKEN_NOTES: Readonly<Record<AdminToken['standing'], string>> = {
  there: '',
  new: ' (new)',
  missing: ' is missing: issued before, not from this folder; docs/runbooks/lost-admin-token.md',
};

/** The same, for people. `link`: where to open the console. */
export function whereText(voice: Voice, installation: Installation, service: Service, link?: string): string {
  const { httpUrl, adminToken, seeded, served } = service;
  const facts: (readonly [string, Cell])[] = [
    ...(httpUrl === undefined
      ? [['http', 'not served'] as const]
      : [
          ['http', { text: httpUrl, tone: 'strong' }] as const,
          ['', `${httpUrl}/api/v1/openapi.json, ${httpUrl}/metrics`] as const,
        ]),
    ...(link === undefined ? [] : [['console', { text: link, tone: 'strong' }] as const]),
    ...(link?.includes('#') === true
      ? [['', 'signs in once, within 30 s; portcullis open prints another link'] as const]
      : []),
    ...(adminToken
      ? [['admin token', `${adminToken.file}${TOKEN_NOTES[adminToken.standing]}`] as const]
      : []),
    ...(service.demoToken === undefined
      ? []
      : [['demo token', `${service.demoToken} (approves in the sample world; no second human)`] as const]),
    ['database', `${installation.database}${embeddedText(installation)}`],
    ['policies', installation.flagsFolder],
    ...policyFacts(service),
    ...(seeded ? [['sample', 'made-up rows, written just now'] as const] : []),
    ...service.sampleAway.map(({ job, database, regions }): readonly [string, Cell] => [
      'no sample',
      {
        text: `of ${job} in ${regions.join(', ')}: ${database} is not reached; start it, then start --sample again`,
        tone: 'warning',
      },
    ]),
    ...served.map(({ job, policy, regions }): readonly [string, Cell] => [
      'serves',
      `${policy.job} ${job.version} in ${regions.join(', ')}`,
    ]),
    ...(served.length === 0
      ? [
          [
            'serves',
            { text: 'nothing: no policy is in force; portcullis flags apply', tone: 'warning' },
          ] as const,
        ]
      : []),
  ];
  return voice.facts(facts);
}

function policyFacts({ policies }: Service): (readonly [string, Cell])[] {
  if (policies === undefined) return [];
  if ('applied' in policies) return [['', 'put in force, since none was: later starts change nothing']];
  return driftTexts(policies.drift).map((text) => ['', { text, tone: 'warning' }]);
}

function embeddedText({ embedded }: Installation): string {
  if (embedded === false) return '';
  return embedded.adopted ? ' (embedded, was running already)' : ' (embedded)';
}

/** A few commands that a person might want next, as they are called here. */
export function tryNextText(voice: Voice, service: Service, program: string): string {
  const [first] = service.served;
  const region = first?.regions[0];
  const lines = [
    `${program} status --watch`,
    ...(first && region !== undefined
      ? [
          `${program} run ${first.policy.job} --region ${region} --dry-run`,
          ...firstSteps(service, program, first.policy.job, region),
        ]
      : []),
    `${program} runs`,
    ...(service.httpUrl !== undefined && service.adminToken && service.adminToken.standing !== 'missing'
      ? [
          `curl -H "Authorization: Bearer $(cat ${shellPath(service.adminToken.file)})" ${service.httpUrl}/api/v1/runs`,
        ]
      : []),
  ];
  return `try, in another terminal:\n${lines.map((line) => `  ${voice.paint(line, 'strong')}\n`).join('')}`;
}

/** Of an installation that begins, how a job is turned on; of any other, how it is turned off. */
function firstSteps(
  { policies, seeded }: Service,
  program: string,
  job: string,
  region: string,
): readonly string[] {
  const begins = policies !== undefined && 'applied' in policies && policies.applied.length > 0 && !seeded;
  if (!begins) return [`${program} flags set ${job} --region ${region} --off --reason "trying it out"`];
  const version = '--version installed';
  return [
    `${program} rollout start ${job} ${version} --initial --reason "first version"`,
    `${program} flags set ${job} --region ${region} --on ${version} --share 100% --reason "first region"`,
    `${program} run ${job} --region ${region}`,
  ];
}

/** A path as a shell takes it for one word. */
function shellPath(path: string): string {
  return /^[\w./+:@-]+$/.test(path) ? path : quoted(path);
}
