import { z } from 'zod';
import { alertOperations } from './alerts.js';
import { approvalOperations } from './approvals.js';
import { auditOperations } from './audit.js';
import { breakGlassOperations } from './break-glass.js';
import { dashboardOperations } from './dashboards.js';
import { databaseOperations } from './databases.js';
import { doctorOperations } from './doctor.js';
import { eventOperations } from './events.js';
import { flagOperations } from './flags.js';
import { guardOperations } from './guard.js';
import { incidentOperations } from './incidents.js';
import { jobAndGateOperations } from './jobs-and-gates.js';
import { jobCommandOperations } from './job-commands.js';
import { jobFileOperations } from './move-files.js';
import { killOperations } from './kills.js';
import { meOperations } from './me.js';
import { missedRunOperations } from './missed-runs.js';
import { notificationOperations } from './notifications.js';
import { openApiOf } from './openapi.js';
import { operation, type Operation } from './operation.js';
import { outcomeOperations } from './outcomes.js';
import { overviewOperations } from './overview.js';
import { peopleOperations } from './people.js';
import { policyOperations } from './policies.js';
import { processOperations } from './process.js';
import { restoreOperations } from './restores.js';
import { rolloutOperations } from './rollouts.js';
import { runOperations } from './runs.js';
import { statusOperations } from './status.js';
import { workerOperations } from './workers.js';

/** Everything that can be done, by name (the `operationId` of the OpenAPI document). */
export const OPERATIONS = {
  ...processOperations,
  ...meOperations,
  ...statusOperations,
  ...overviewOperations,
  ...jobAndGateOperations,
  ...jobCommandOperations,
  ...jobFileOperations,
  ...guardOperations,
  ...flagOperations,
  ...policyOperations,
  ...workerOperations,
  ...rolloutOperations,
  ...breakGlassOperations,
  ...killOperations,
  ...dashboardOperations,
  ...databaseOperations,
  ...doctorOperations,
  ...approvalOperations,
  ...peopleOperations,
  ...runOperations,
  ...missedRunOperations,
  ...restoreOperations,
  ...incidentOperations,
  ...auditOperations,
  ...eventOperations,
  ...notificationOperations,
  ...outcomeOperations,
  ...alertOperations,
  getOpenApi: operation({
    at: 'GET /api/v1/openapi.json',
    compressed: true,
    example: {},
    summary: 'The OpenAPI document of this API',
    action: 'read',
    result: z.looseObject({ openapi: z.string() }),
    run: () => openApi(),
  }),
};

export type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;

/** The list for those who treat all operations alike. */
export const operationList = Object.entries(OPERATIONS) as unknown as readonly (readonly [
  OperationName,
  Operation,
])[];

/** The version of the API, in its address. */
const API_VERSION = '1.0.0';

let document: { openapi: string } | undefined;

function openApi(): { openapi: string } {
  return (document ??= { openapi: '', ...openApiOf(operationList, API_VERSION) });
}
