import { z } from 'zod';
import { PortcullisError } from '../kernel/errors.js';
import { named, word } from '../kernel/schema.js';
import { requireRegion, unknownName } from '../kernel/unknown-name.js';
import { regionsInForce } from './move-files.js';
import { operation, SENT_OR_EVERYWHERE } from './operation.js';
import { namePath } from './schemas.js';

export const jobActOperations = {
  actOnJob: operation({
    at: 'POST /api/v1/jobs/:job/acts/:act',
    example: {
      ...{ job: 'domain-claim', act: 'check', region: 'eu-west-1' },
      input: { domain: 'acme.com' },
    },
    summary:
      "Does something that a job brings for its own tables: domain-claim has `check`, with a `domain` that the region's next run checks",
    action: 'import-directory',
    reach: SENT_OR_EVERYWHERE,
    params: z.strictObject({ job: namePath, act: namePath }),
    body: z.strictObject({
      region: word.optional().describe('only in this region; absent: in all that the job has'),
      input: z.record(word, z.unknown()).describe('what the act takes; what is wrong with it is named'),
    }),
    errors: ['JOB_UNKNOWN', 'REGION_UNKNOWN', 'NOTHING_REACHED', 'DATABASE_UNREACHABLE'],
    result: named(
      'JobActDone',
      z.strictObject({ answer: z.record(z.string(), z.unknown()).describe('what the act answers') }),
    ),
    run: async ({ control, regionDatabases, acts }, { job, act: name, region, input }, caller) => {
      const ofJob = acts.filter((each) => each.job === job);
      if (ofJob.length === 0) {
        throw unknownName(
          ...(['JOB_UNKNOWN', 'job', job] as const),
          acts.map((each) => each.job),
        );
      }
      const act = ofJob.find((each) => each.name === name);
      const names = ofJob.map((each) => each.name).join(', ');
      if (act === undefined) {
        throw new PortcullisError('REQUEST_INVALID', `${job} has no act ${JSON.stringify(name)}`, {
          hint: `it has ${names}`,
          details: { act: name },
        });
      }
      const parsed = act.input.safeParse(input);
      if (!parsed.success) {
        const faults = parsed.error.issues.map(({ path, message }) => `input.${path.join('.')}: ${message}`);
        throw new PortcullisError('REQUEST_INVALID', `${job} ${name}: ${faults.join('; ')}`, {
          hint: 'correct the input of the act',
          details: { faults },
        });
      }
      const regions = await regionsInForce(control);
      if (region !== undefined && regions.length > 0) requireRegion(region, regions);
      return { answer: await act.run({ control, regionDatabases, region, caller }, parsed.data) };
    },
  }),
};
