import { PortcullisError } from '../kernel/errors.js';
import { flagName } from './definition.js';

/** The address of the server whose flags are in force, as it may be shown; undefined where they are our own. */
export function flagsAt(source: {
  readonly kind: 'embedded' | 'unleash';
  readonly url?: string;
}): string | undefined {
  if (source.kind === 'embedded') return undefined;
  const { origin, pathname } = new URL(source.url ?? '');
  return `${origin}${pathname}`.replace(/\/+$/, '');
}

/** That a flag cannot be changed here, and what can be done instead. */
export function flagElsewhere(at: string, job: string, region?: string): PortcullisError {
  const flag = region === undefined ? `the flags of ${job}` : flagName(job, region);
  const where = region === undefined ? '' : ` --region ${region}`;
  return new PortcullisError(
    'FLAGS_ELSEWHERE',
    `flags come from the Unleash server at ${at}; nothing was changed`,
    {
      hint: `change ${flag} in Unleash; to stop the job now: portcullis kill ${job}${where} --reason "…"`,
      details: { source: 'unleash', url: at },
    },
  );
}

/** That a rollout cannot do this while its flags are elsewhere. */
export function rolloutElsewhere(at: string): PortcullisError {
  return new PortcullisError(
    'FLAGS_ELSEWHERE',
    `flags come from the Unleash server at ${at}, which a rollout does not set; nothing was changed`,
    {
      hint: 'change the shares in Unleash, or use the embedded flags (PORTCULLIS_FLAG_SOURCE=embedded)',
      details: { source: 'unleash', url: at },
    },
  );
}

/** What a kill or a trip leaves undone: the flag itself, which is not in our hands. */
export function unchangedElsewhere(at: string, job: string, regions: readonly string[]): string {
  const flags = regions.map((region) => flagName(job, region)).join(', ');
  return `Its flags are in Unleash (${at}) and were not changed: switch ${flags} off there, or they open the gate again when it is re-armed.`;
}

/** What to do about a problem of the flag source; `at`: its server, where it is not the control database. */
export function sourceAdvice(code: string, at: string | undefined): string {
  if (at === undefined) {
    return code === 'flag-unauthorised'
      ? "give the worker's login the right to read portcullis_control.flag"
      : 'check that the control database runs and can be reached from here';
  }
  switch (code) {
    case 'flag-unauthorised':
      return `set PORTCULLIS_UNLEASH_TOKEN to a backend token that ${at} accepts, and restart`;
    case 'flag-malformed':
      return `check that ${at} is an Unleash server's API, without a proxy that answers in its place`;
    default:
      return `check that ${at} runs and can be reached from here`;
  }
}
