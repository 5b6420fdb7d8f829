import { z } from 'zod';
import { named, word } from '../kernel/schema.js';
import type { RegionsPage } from '../regions/browse.js';

export const Health = named('Health', z.strictObject({ status: z.literal('up') }));

export const Readiness = named(
  'Readiness',
  z.strictObject({
    status: z.enum(['ready', 'not-ready']),
    reasons: z.array(z.string()).readonly().describe('why not; empty when ready'),
  }),
);

/** An error on the wire: RFC 9457, with the code that docs/reference/errors.md explains. */
export const Problem = named(
  'Problem',
  z.strictObject({
    type: z.string().describe('a URN that ends in the code'),
    title: z.string().describe('the same words for every error of this code'),
    status: z.int(),
    detail: z.string().describe('what is wrong here'),
    instance: z.string().describe('a URN that ends in the x-request-id, to find the request in the log'),
    code: z.string().describe('explained in docs/reference/errors.md'),
    hint: z.string().optional().describe('what can be done about it'),
    details: z.record(z.string(), z.unknown()).optional().describe('the particulars, for programs'),
  }),
);
export type Problem = z.infer<typeof Problem>;

export const PROBLEM_TYPE = 'application/problem+json';

/** The query of every list. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).default(50).describe('the most items'),
  cursor: z.string().min(1).max(1000).optional().describe('`next` of the page before, unchanged'),
};

export const jobQuery = word.optional().describe('only of this job');
export const regionQuery = word.optional().describe('only in this region');
export const kindQuery = word.optional().describe('only of this kind');
export const namePath = word;
export const approvalIdPath = word.describe("a request's id, in either case");
export const runIdPath = z
  .string()
  .min(1)
  .max(64)
  .describe("a run's id, or the first 4 or more digits of one");

/** A page that names the region databases it is without, and not why: a reason may hold an address. */
export function withoutReasons<Item>({ items, next, unreachable }: RegionsPage<Item>) {
  return { items, next, unreachable: unreachable.map(({ database }) => database) };
}
