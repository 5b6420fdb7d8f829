import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { ensureAdminToken } from '../../../src/access/admin-token.js';
import { principalOfToken } from '../../../src/access/tokens.js';
import { testDatabase } from '../../support/database.js';
import { temporaryFolder } from '../../support/portcullis.js';

const { owner } = await testDatabase();

test('an admin token whose file a full disk has left empty is issued again', async () => {
  const home = await temporaryFolder();
  const { file, fresh } = await ensureAdminToken(owner, home);
  expect(fresh).toBe(true);
  expect(await ensureAdminToken(owner, home)).toEqual({ file, fresh: false });
  await writeFile(file, '');
  expect(await ensureAdminToken(owner, home)).toEqual({ file, fresh: true });
  const token = (await readFile(file, 'utf8')).trim();
  expect(await principalOfToken(owner, token)).toMatchObject({ name: 'admin', role: 'admin' });
});
