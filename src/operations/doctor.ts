import { z } from 'zod';
import { FINDING_MARKS } from '../sdk/contract.js';
import { operation } from './operation.js';
import { named } from '../kernel/schema.js';

export const Finding = named(
  'Finding',
  z.strictObject({
    check: z.string().describe('what was looked at; the name of a job, where the job looked itself'),
    mark: z.enum(FINDING_MARKS).describe('`fail` needs a fix, `warn` is worth knowing and may be meant'),
    found: z.string(),
    hint: z.string().optional().describe('what to do about it'),
  }),
);

const Examination = named(
  'Examination',
  z.strictObject({
    healthy: z.boolean().describe('whether nothing fails'),
    findings: z.array(Finding).readonly(),
  }),
);

export const doctorOperations = {
  examineInstallation: operation({
    at: 'GET /api/v1/doctor',
    example: {},
    summary: 'What is wrong with the databases, jobs, flags and runs, as this process sees them, with hints',
    action: 'read',
    result: Examination,
    run: async ({ examine }) => {
      const findings = await examine();
      return { healthy: findings.every(({ mark }) => mark !== 'fail'), findings };
    },
  }),
};
