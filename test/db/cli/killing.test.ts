import { afterAll, describe, expect, test } from '@jest/globals';
import { versionMeant } from '../../../src/cli/killing.js';
import { announceVersions } from '../../../src/rollout/announce.js';
import { openPool } from '../../../src/postgres/pool.js';
import { testDatabase } from '../../support/database.js';
import { FakeApp } from '../../unit/cli/fake-app.js';

const { owner } = await testDatabase();
const opened = await new FakeApp().open();
const { jobs } = opened;
const job = jobs[0]?.definition.name ?? '';
const current = jobs[0]?.version ?? '';
const away = openPool('postgresql://nobody@127.0.0.1:1/nowhere', { name: 'away' });

afterAll(() => away.end());

describe('the version that a kill on the command line is meant for', () => {
  test('is the installed one, or one that was announced, and never a name that nothing bears', async () => {
    const meant = (text: string) => versionMeant({ ...opened, control: owner }, job, text);
    await announceVersions(owner, 'w1', [{ job, version: '1.2.0_0000000c', regions: ['eu-west-1'] }]);
    expect(await meant('installed')).toBe(current);
    expect(await meant('1.0.0')).toBe(current);
    expect(await meant('1.2.0')).toBe('1.2.0_0000000c');
    expect(await meant('1.3.0_0000000d')).toBe('1.3.0_0000000d');
    for (const text of ['1', '1.3.0', '', '\u001b[2J', `${current}\n`]) {
      await expect(meant(text)).rejects.toMatchObject({ code: 'VERSION_UNKNOWN' });
    }
  });

  test('is found without the control database too', async () => {
    const meant = (text: string) => versionMeant({ ...opened, control: away }, job, text);
    expect(await meant('1.0.0')).toBe(current);
    expect(await meant('1.3.0_0000000d')).toBe('1.3.0_0000000d');
    await expect(meant('1.3.0')).rejects.toMatchObject({ code: 'VERSION_UNKNOWN' });
  });
});
