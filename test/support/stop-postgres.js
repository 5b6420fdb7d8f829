import { rmSync } from 'node:fs';

export default async function stopPostgres() {
  const started = globalThis.portcullisTestServer;
  if (!started) return;
  delete globalThis.portcullisTestServer;
  delete process.env['PORTCULLIS_TEST_SERVER'];
  delete process.env['JEST_SHARED_FOLDER'];
  await started.server.stop();
  rmSync(started.folder, { recursive: true, force: true });
}
