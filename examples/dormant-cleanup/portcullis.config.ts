import { defineConfig, env } from 'portcullis';
import { dormantCleanup } from './jobs/dormant-cleanup/index.js';

export default defineConfig({
  jobs: [dormantCleanup],
  databases: { crm: { url: env('PORTCULLIS_DATABASE_URL_CRM') } },
  // `portcullis check` and `portcullis dev` plan on the job's own sample.
  development: { schema: 'schema.sql', grants: 'grants.sql' },
});
