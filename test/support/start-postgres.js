import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '../../bundle.js';

/** Jest's global set-up: one embedded server for the whole test run, with a migrated database as template. */
export default async function startPostgres() {
  if (process.env['PORTCULLIS_TEST_SERVER']) return;
  // Of what was compiled last: `tsc --watch` makes none.
  await bundle();
  const { startEmbedded } = await import('../../dist/postgres/embedded-server.js');
  const { openPool } = await import('../../dist/postgres/pool.js');
  const { migrate } = await import('../../dist/postgres/migrate.js');
  const { provisionLogins } = await import('../../dist/postgres/logins.js');
  const { domainClaim } = await import('../../dist/jobs/domain-claim/job.js');
  const { schemaOf } = await import('../../dist/worker/registry.js');
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-test-'));
  // As root, the server runs as another user, who must be able to enter.
  chmodSync(folder, 0o755);
  const server = await startEmbedded({
    folder,
    settings: [
      'fsync=off',
      'synchronous_commit=off',
      'full_page_writes=off',
      'max_connections=300',
      'shared_buffers=256MB',
    ],
  });
  const pool = openPool(server.url, { name: 'test template' });
  await migrate(pool, ['control', 'region', schemaOf(domainClaim)]);
  await provisionLogins(pool);
  await pool.end();
  process.env['PORTCULLIS_TEST_SERVER'] = server.url;
  // No variable of Portcullis, so that no program that a test starts warns of it.
  process.env['JEST_SHARED_FOLDER'] = folder;
  globalThis.portcullisTestServer = { server, folder };
}
