import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { format, resolveConfig } from 'prettier';
import { Registry } from 'prom-client';
import { COMMAND_RIGHTS } from '../../../src/cli/permissions.js';
import { createProgram } from '../../../src/cli/program.js';
import { ROUTES } from '../../../src/server/app.js';
import { operationList } from '../../../src/operations/list.js';
import { openApiOf } from '../../../src/operations/openapi.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { FakeApp } from '../cli/fake-app.js';
import { FakeTerminal } from '../cli/fake-terminal.js';
import { apiPage, type OpenApi } from './api-page.js';
import { cliPage } from './cli-page.js';
import { environmentPage } from './environment-page.js';
import { metricsPage, type Measured } from './metrics-page.js';
import { permissionsPage } from './permissions-page.js';
import { policyPage } from './policy-page.js';
import { alertRulesOf } from '../../../src/flags/alert-rules.js';
import { readPolicies } from '../../../src/flags/policy.js';
import { policyJsonSchema } from '../../../src/flags/policy-document.js';
import { statesPage } from './states-page.js';

/** The reference pages are made from what they describe. `npm run docs` writes them; without it, each is compared. */

const ROOT = new URL('../../../', import.meta.url);
const app = new FakeApp();
const program = createProgram(app, new FakeTerminal(), app.commands);

function metricsOf(): Measured[] {
  const registry = new Registry();
  createMetrics(registry);
  return registry.getMetricsAsArray();
}

const policySchema = policyJsonSchema();

const PAGES: Readonly<Record<string, () => string>> = {
  cli: () => cliPage(program),
  api: () => apiPage(openApiOf(operationList, '') as unknown as OpenApi, ROUTES),
  environment: () => environmentPage(),
  policy: () => policyPage(policySchema),
  metrics: () => metricsPage(metricsOf()),
  states: () => statesPage(),
  permissions: () =>
    permissionsPage(
      Object.entries(COMMAND_RIGHTS).map(([name, takes]) => ({ name, takes })),
      ROUTES.map(({ method, path, action }) => ({ name: `${method.toUpperCase()} ${path}`, takes: action })),
    ),
};

test.each(Object.keys(PAGES))('docs/reference/%s.md says what is so; else run npm run docs', async (name) => {
  const file = fileURLToPath(new URL(`docs/reference/${name}.md`, ROOT));
  const page = await format(PAGES[name]?.() ?? '', { ...(await resolveConfig(file)), parser: 'markdown' });
  if (process.env['UPDATE_DOCS'] !== undefined) await writeFile(file, page);
  expect(await readFile(file, 'utf8')).toBe(page);
});

test('dashboards/prometheus/domain-claim.rules.yml is what flags alerts prints; else run npm run docs', async () => {
  const file = fileURLToPath(new URL('dashboards/prometheus/domain-claim.rules.yml', ROOT));
  const policies = await readPolicies(fileURLToPath(new URL('flags', ROOT)));
  const rules = stringify(alertRulesOf(policies.map(({ policy }) => policy)), { lineWidth: 0 });
  const text = await format(`# Made by: portcullis flags alerts\n${rules}`, {
    ...(await resolveConfig(file)),
    parser: 'yaml',
  });
  if (process.env['UPDATE_DOCS'] !== undefined) await writeFile(file, text);
  expect(await readFile(file, 'utf8')).toBe(text);
});

test('flags/policy.schema.json is the schema that the program checks by; else run npm run docs', async () => {
  const file = fileURLToPath(new URL('flags/policy.schema.json', ROOT));
  const schema = await format(JSON.stringify(policySchema), {
    ...(await resolveConfig(file)),
    parser: 'json',
  });
  if (process.env['UPDATE_DOCS'] !== undefined) await writeFile(file, schema);
  expect(await readFile(file, 'utf8')).toBe(schema);
});
