import { afterAll, expect, test } from '@jest/globals';
import { Faults } from '../../../../src/csv/faults.js';
import { importDirectory } from '../../../../src/jobs/directory/import.js';
import { testDatabase } from '../../../support/database.js';
import { csvFolder } from '../../../support/directory-files.js';

const { owner } = await testDatabase();
const folder = await csvFolder();
afterAll(() => folder.remove());

test('a line that is imported and that no run will work on is noted, with its number and why', async () => {
  const notes = new Faults();
  const files = await folder.write({
    organisations: 'id,name,home_region\no1,x,eu-wset-1\no2,x,"eu-west-1 "\no3,x,eu-west-1\n',
    accounts:
      'id,email,email_verified,home_region\n' +
      'a1,not-an-email,true,eu-west-1\na2,ann@gmail.com,true,eu-west-1\na3,,false,mars\n',
    domains:
      'id,name,organisation_id\nd1,gmail.com,o3\nd2,,o3\nd3,EXAMPLE.com.,o3\nd4,bücher.de,o3\n' +
      'd5,0x7f.1,o3\nd6,not a domain!,o3\nd7,acme.com,o3\n',
  });
  const report = await importDirectory(owner, files, { notes, regions: ['eu-west-1', 'us-east-1'] });
  expect(report).toMatchObject({ organisations: 3, accounts: 3, domains: 7 });
  expect(notes.lines().map((line) => line.slice(folder.path.length + 1))).toEqual([
    'organisations.csv:2: home_region: no policy has the region "eu-wset-1"; did you mean eu-west-1?',
    'organisations.csv:3: home_region: no policy has the region "eu-west-1 "; did you mean eu-west-1?',
    'accounts.csv:2: email: "not-an-email" can never be claimed: it is no plain address',
    'accounts.csv:4: home_region: no policy has the region "mars"',
    'domains.csv:2: name: "gmail.com" can never be verified: gmail.com is in the list of mail providers',
    'domains.csv:3: name: "" can never be verified: it is empty',
    'domains.csv:4: name: "EXAMPLE.com." can never be verified; write it as example.com',
    'domains.csv:5: name: "bücher.de" can never be verified; write it as xn--bcher-kva.de',
    'domains.csv:6: name: "0x7f.1" can never be verified: it is an IP address',
    'domains.csv:7: name: "not a domain!" can never be verified: it has characters that no domain name has',
  ]);
  expect(notes.total).toBe(10);
});
