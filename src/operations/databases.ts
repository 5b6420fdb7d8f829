import { z } from 'zod';
import { confirmSwitchover, SWITCHOVER_MS } from '../gate/database.js';
import { confirmChanged } from '../containment/changed-database.js';
import { pageOfList } from '../postgres/page.js';
import { databaseMeant, listDatabases, DatabaseView } from '../regions/databases.js';
import { operation } from './operation.js';
import { named, regionsPageSchema, reason, isoTime, word } from '../kernel/schema.js';
import { pageQuery } from './schemas.js';

const DatabasePage = regionsPageSchema('DatabasePage', DatabaseView);

const DatabaseConfirmation = named(
  'DatabaseConfirmation',
  z.strictObject({
    region: word.optional().describe('a region of the database; needed where there are several databases'),
    reason: reason.describe('for the record'),
    switchover: z
      .boolean()
      .default(false)
      .describe('beforehand: the database that a planned switchover leads to'),
  }),
);

const DatabaseConfirmed = named(
  'DatabaseConfirmed',
  z.strictObject({
    identity: z.string(),
    was: z.string().nullable().describe('the database that was confirmed last before it'),
    expiresAt: isoTime.nullable().describe('of a switchover: until when it must have taken place'),
  }),
);

/** Which databases the regions have, and the confirmation of one that is another one than before. */
export const databaseOperations = {
  listDatabases: operation({
    at: 'GET /api/v1/databases',
    example: {},
    summary: 'The region databases, and whether a person has confirmed each',
    action: 'read',
    query: z.strictObject({ ...pageQuery }),
    result: DatabasePage,
    run: async ({ control, regionDatabases }, page) => {
      const { databases, unreachable } = await listDatabases(control, regionDatabases);
      return { ...pageOfList(databases, page, ({ database }) => [database]), unreachable };
    },
  }),
  confirmDatabase: operation({
    at: 'POST /api/v1/databases/confirm',
    example: { region: 'eu-west-1', reason: 'planned failover' },
    summary: 'Confirms a database after a failover or a recovery, or beforehand for a planned switchover',
    action: 'confirm-database',
    body: DatabaseConfirmation,
    result: DatabaseConfirmed,
    errors: ['REGION_UNKNOWN', 'DATABASE_CONFIRMED', 'DATABASE_UNCONFIRMED', 'DATABASE_IDENTITY_HIDDEN'],
    run: async ({ control, regionDatabases }, { region, reason: why, switchover }, caller) => {
      const { owner } = await databaseMeant(control, regionDatabases, region);
      const confirmation = { by: caller.name, reason: why };
      return switchover
        ? confirmSwitchover(control, owner, confirmation, SWITCHOVER_MS)
        : confirmChanged(control, owner, confirmation);
    },
  }),
};
