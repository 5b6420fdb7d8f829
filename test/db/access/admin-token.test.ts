import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ensureAdminToken } from '../../../src/access/admin-token.js';
import { listTokens, principalOfToken } from '../../../src/access/tokens.js';
import { testDatabase } from '../../support/database.js';
import { temporaryFolder } from '../../support/portcullis.js';

const { owner } = await testDatabase();

test('the first start on a database issues the admin token, and no later start ends or issues one', async () => {
  const home = await temporaryFolder();
  const file = join(home, 'admin-token');
  // Where the file cannot be written, as on a full disk, nothing is issued: the next start does it.
  await expect(ensureAdminToken(owner, join(home, 'not-there'))).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await listTokens(owner)).toEqual([]);
  expect(await ensureAdminToken(owner, home)).toEqual({ file, standing: 'new' });
  const token = (await readFile(file, 'utf8')).trim();
  const holds = async () => (await principalOfToken(owner, token))?.name;
  expect(await holds()).toBe('admin');
  expect(await ensureAdminToken(owner, home)).toEqual({ file, standing: 'there' });
  // A second process with a home of its own, and one whose file is gone.
  const other = await temporaryFolder();
  expect(await ensureAdminToken(owner, other)).toEqual({
    file: join(other, 'admin-token'),
    standing: 'missing',
  });
  expect(await holds()).toBe('admin');
  await rm(file);
  expect(await ensureAdminToken(owner, home)).toEqual({ file, standing: 'missing' });
  expect(await holds()).toBe('admin');
});
