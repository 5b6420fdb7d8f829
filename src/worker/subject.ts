import { PortcullisError } from '../kernel/errors.js';
import { nearest } from '../kernel/nearest.js';
import type { KnownJob } from './registry.js';

/** A row that a job may change. */
export interface Subject {
  readonly job: string;
  readonly resource: string;
  readonly key: string;
}

/**
 * Reads a subject, `domain-claim/account:a-17`: a job, a resource that it changes, and the key of a row. Without the
 * job, the resource of the one job that has it. Throws REQUEST_INVALID, also where several jobs have it, or
 * SUBJECT_UNKNOWN with the nearest resource.
 */
export function parseSubject(jobs: readonly KnownJob[], text: string): Subject {
  const [, named, resource = '', key = ''] = /^(?:([^:/]*)\/)?([^:]*):?([^]*)$/.exec(text) ?? [];
  const known = jobs.flatMap(({ definition: { name: job, resources } }) =>
    Object.entries(resources)
      .filter(([, { changes, deletes }]) => changes.length > 0 || deletes === true)
      .map(([name]) => ({ job, resource: name })),
  );
  const meant = known.filter((each) => each.resource === resource && (named ?? each.job) === each.job);
  const [subject, ...others] = meant;
  if (subject === undefined) throw unknownSubject(known, named, resource, key);
  if (others.length > 0) {
    const names = meant.map(({ job }) => `${job}/${resource}`);
    throw new PortcullisError('REQUEST_INVALID', `${meant.length} jobs change a thing called ${resource}`, {
      hint: `name the job: ${names.map((name) => `${name}:${key === '' ? 'KEY' : key}`).join(' or ')}`,
      details: { resource, known: names },
    });
  }
  if (key !== '' && !key.includes('\0')) return { ...subject, key };
  throw new PortcullisError('REQUEST_INVALID', `${JSON.stringify(text)} names no row`, {
    hint: `name a resource and the key of a row, such as ${resource}:a-17`,
  });
}

function unknownSubject(
  known: readonly Pick<Subject, 'job' | 'resource'>[],
  job: string | undefined,
  resource: string,
  key: string,
): PortcullisError {
  // Named by the job where the person did so.
  const nameOf = (each: Pick<Subject, 'job' | 'resource'>): string =>
    job === undefined ? each.resource : `${each.job}/${each.resource}`;
  const names = [...new Set(known.map(nameOf))];
  const name = job === undefined ? resource : `${job}/${resource}`;
  const meant = nearest(name, names);
  return new PortcullisError('SUBJECT_UNKNOWN', `no job changes a thing called ${name}`, {
    hint:
      meant === undefined
        ? `there is ${names.join(', ')}`
        : `did you mean ${meant}:${key === '' ? 'KEY' : key}?`,
    details: { resource: name, known: names },
  });
}
