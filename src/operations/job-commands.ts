import { z } from 'zod';
import { recordAudit } from '../audit/record.js';
import { PortcullisError } from '../kernel/errors.js';
import { named, word } from '../kernel/schema.js';
import { requireRegion } from '../kernel/unknown-name.js';
import { inTransaction } from '../postgres/pool.js';
import { queryRegions } from '../regions/query-regions.js';
import type { RegionDatabase } from '../regions/region-database.js';
import type { JobCommand, JobDefinition } from '../sdk/contract.js';
import { ownerSql } from '../worker/job-sample.js';
import { installedJob, type OperationContext } from './context.js';
import { operation, SENT_OR_EVERYWHERE } from './operation.js';
import { namePath } from './schemas.js';

/** Below what one database may take to answer, so that what is late is rolled back before nobody waits for it. */
const COMMAND_MS = 8_000;

const JobCommands = named(
  'JobCommands',
  z.strictObject({
    items: z.array(
      z.strictObject({
        name: z.string(),
        summary: z.string(),
        takes: z.record(z.string(), z.string()).describe('what it must be given: by name, what that is'),
      }),
    ),
  }),
);

const CommandDone = named(
  'JobCommandDone',
  z.strictObject({
    done: z.array(z.record(z.string(), z.string())).describe('what it did, as the job tells it'),
    unreachable: z.array(z.string()).describe('region databases that could not be asked'),
  }),
);

export const jobCommandOperations = {
  listJobCommands: operation({
    at: 'GET /api/v1/jobs/:job/commands',
    example: { job: 'domain-claim' },
    summary: 'What a job lets people do with its own tables besides its runs, as its code declares it',
    action: 'read',
    params: z.strictObject({ job: namePath }),
    errors: ['JOB_UNKNOWN'],
    result: JobCommands,
    run: (context, { job }) =>
      Promise.resolve({
        items: Object.entries(installedJob(context, job).definition.commands ?? {}).map(
          ([name, { summary, takes }]) => ({
            ...{ name, summary, takes },
          }),
        ),
      }),
  }),
  doJobCommand: operation({
    at: 'POST /api/v1/jobs/:job/commands/:command',
    example: {
      ...{ job: 'domain-claim', command: 'check', region: 'eu-west-1' },
      given: { domain: 'acme.com' },
    },
    summary:
      "Does what a job's command does with its own tables, in one transaction a database. It is an edit like any other of the application's: not judged, journaled or restored",
    action: 'import-directory',
    reach: SENT_OR_EVERYWHERE,
    params: z.strictObject({ job: namePath, command: namePath }),
    body: z.strictObject({
      region: word.optional().describe('only in this region; absent: in all that the job has'),
      given: z
        .record(word, z.string().min(1).max(1_000))
        .describe('what the command takes; what is wrong with it is named'),
    }),
    errors: ['JOB_UNKNOWN', 'REGION_UNKNOWN', 'NOTHING_REACHED', 'DATABASE_UNREACHABLE'],
    result: CommandDone,
    run: async (context, { job, command: name, region, given }, caller) => {
      const { control, jobs } = context;
      const command = commandOf(installedJob(context, job).definition, name);
      requireGiven(command, `${job} ${name}`, given);
      const regions = jobs().find((each) => each.name === job)?.regions ?? [];
      if (region !== undefined && regions.length > 0) requireRegion(region, regions);
      // Before the command, which is in other databases.
      await recordAudit(control, {
        ...{ principal: caller.name, action: 'job-command', subject: `${job} ${name}` },
        evidence: { given, region: region ?? null },
      });
      const { done, unreachable } = await doIn(
        context,
        command,
        region === undefined ? regions : [region],
        given,
      );
      if (done.length > 0) return { done, unreachable };
      const without = unreachable.length === 0 ? '' : `; ${unreachable.join(', ')} could not be asked`;
      throw new PortcullisError('NOTHING_REACHED', `${job} ${name} found nothing to do${without}`, {
        hint: `what it does: ${command.summary}`,
        details: { given, region: region ?? null, unreachable },
      });
    },
  }),
};

function commandOf({ name: job, commands = {} }: JobDefinition, name: string): JobCommand {
  const found = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (found) return found;
  const names = Object.keys(commands).join(', ');
  throw new PortcullisError('REQUEST_INVALID', `${job} has no command ${JSON.stringify(name)}`, {
    hint: names === '' ? 'it has none' : `it has ${names}`,
    details: { command: name },
  });
}

/** Throws REQUEST_INVALID with all that is missing, too much, or refused by the command itself. */
function requireGiven(command: JobCommand, name: string, given: Readonly<Record<string, string>>): void {
  const { takes } = command;
  const faults = [
    ...Object.keys(takes).flatMap((each) => (Object.hasOwn(given, each) ? [] : [`${each} is missing`])),
    ...Object.keys(given).flatMap((each) => (Object.hasOwn(takes, each) ? [] : [`it takes no ${each}`])),
  ];
  const what = Object.entries(takes).map(([each, is]) => `${each}: ${is}`);
  const refused = faults.length === 0 ? command.refuses?.(given) : undefined;
  if (faults.length === 0 && refused === undefined) return;
  throw new PortcullisError('REQUEST_INVALID', `${name}: ${refused?.why ?? faults.join('; ')}`, {
    hint: refused?.hint ?? `it takes ${what.join('; ') || 'nothing'}`,
    details: { faults: refused === undefined ? faults : [refused.why] },
  });
}

interface Done {
  readonly done: Readonly<Record<string, string>>[];
  readonly unreachable: string[];
}

/** In each database that has any of the regions. */
async function doIn(
  { regionDatabases }: OperationContext,
  command: JobCommand,
  regions: readonly string[],
  given: Readonly<Record<string, string>>,
): Promise<Done> {
  const within = ({ owner }: RegionDatabase, here: readonly string[]) =>
    inTransaction(owner, async (client) => {
      await client.query(`set local statement_timeout = ${COMMAND_MS}`);
      return command.run({ sql: ownerSql(client), regions: here }, given);
    });
  const [only] = regions;
  if (only !== undefined && regions.length === 1) {
    return { done: [...(await within(regionDatabases.of(only), regions))], unreachable: [] };
  }
  const { answers, unreachable } = await queryRegions(regionDatabases, async (database) => {
    const here = regions.filter((region) => regionDatabases.of(region) === database);
    return here.length === 0 ? [] : within(database, here);
  });
  return {
    done: answers.flatMap(({ answer }) => answer),
    unreachable: unreachable.map(({ database }) => database),
  };
}
