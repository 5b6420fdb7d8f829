import { PortcullisError } from '../kernel/errors.js';
import { nearest } from '../kernel/nearest.js';
import type { Shape } from '../journal/shape.js';
import type { LoadedJob } from './registry.js';

/** A row that a job may change. */
export interface Subject {
  readonly shape: Shape;
  readonly key: string;
}

/**
 * Reads a subject, `account:a-17`: a resource that one of the jobs changes, and the key of a row. Throws
 * REQUEST_INVALID, or SUBJECT_UNKNOWN with the nearest resource.
 */
export function parseSubject(jobs: readonly LoadedJob[], text: string): Subject {
  const [, name = '', key = ''] = /^([^:]*):?([^]*)$/.exec(text) ?? [];
  const shapes = jobs.flatMap((job) => [...job.shapes.values()]).filter(({ changes }) => changes.length > 0);
  const shape = shapes.find((each) => each.name === name);
  if (shape && key !== '' && !key.includes('\0')) return { shape, key };
  if (shape) {
    throw new PortcullisError('REQUEST_INVALID', `${JSON.stringify(text)} names no row`, {
      hint: `name a resource and the key of a row, such as ${name}:a-17`,
    });
  }
  const names = [...new Set(shapes.map((each) => each.name))];
  const meant = nearest(name, names);
  throw new PortcullisError('SUBJECT_UNKNOWN', `no job changes a thing called ${name}`, {
    hint:
      meant === undefined
        ? `there is ${names.join(', ')}`
        : `did you mean ${meant}:${key === '' ? 'KEY' : key}?`,
    details: { resource: name, known: names },
  });
}
